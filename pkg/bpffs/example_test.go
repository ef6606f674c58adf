package bpffs_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A plugin prepares the node; where is for those that come after it.
func ExampleMount() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, err := bpffs.Mount(ctx, bpffs.Roots{})
	if errors.Is(err, bpffs.ErrLocked) {
		fmt.Println("another process is mounting: try again later")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	if m.Fallback {
		fmt.Println("something else is mounted at", bpffs.DefaultRoot)
	}
	fmt.Println("bpffs is at", m.Path)
}

// A daemon that mounts nothing itself finds the maps.
func ExampleFind() {
	root, err := bpffs.Find()
	if errors.Is(err, bpffs.ErrNotFound) {
		fmt.Println("wait until a plugin has mounted it")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := bpffs.NewMapDir(root, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dir.MapPath("ipcache"))
}

func ExampleMapDir() {
	dir, err := bpffs.NewMapDir("/run/cilium/bpffs", "tc/globals")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dir.Path())
	fmt.Println(dir.MapPath("ipcache"))
	// Output:
	// /run/cilium/bpffs/tc/globals
	// /run/cilium/bpffs/tc/globals/ipcache
}

func ExampleMapDir_LocalMapPath() {
	var dir bpffs.MapDir // the default
	fmt.Println(dir.LocalMapPath("policy_", 42))
	// Output: /sys/fs/bpf/tc/globals/policy_00042
}

// Children such as tc and ip pin maps where the environment says.
func ExampleMapDir_Environ() {
	dir, err := bpffs.NewMapDir("/run/cilium/bpffs", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	cmd := exec.Command("sh", "-c", "echo $CILIUM_BPF_MNT $TC_BPF_MNT")
	cmd.Env = dir.Environ()
	out, err := cmd.Output()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(out))
	// Output: /run/cilium/bpffs /run/cilium/bpffs
}

// The life of an endpoint: what ADD does, and what DEL does.
func ExampleEndpoints() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	endpoints, err := bpffs.CreateEndpoints(ctx, bpffs.MapDir{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer endpoints.Close()

	pod := bpffs.Attachment{Network: "my-net", ContainerID: "0a1b2c", IfName: "eth0"}
	id, isNew, err := endpoints.Allocate(pod, "policy_", "calls_")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pod, "has endpoint ID", id, "- it is new:", isNew)
	if err := endpoints.Release(pod); err != nil { // also removes the two maps
		fmt.Println(err)
	}
}

// A chained plugin adds the paths to the result of the plugin before it.
func ExampleAppendPaths() {
	prevResult := []byte(`{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/pod"}]}`)
	var dir bpffs.MapDir
	result, err := bpffs.AppendPaths(prevResult, "1.0.0", []string{dir.LocalMapPath("policy_", 42)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(result))
	// Output: {"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/pod"},{"name":"/sys/fs/bpf/tc/globals/policy_00042"}]}
}

// A plugin that comes later in the chain reads them from its prevResult.
func ExampleLocalMaps() {
	prevResult := []byte(`{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/pod"},
		{"name":"/sys/fs/bpf/tc/globals/policy_00042"}]}`)
	maps, err := bpffs.LocalMaps(prevResult)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range maps {
		fmt.Printf("%s of endpoint %d is %s\n", m.Name, m.EndpointID, m.Path)
	}
	// Output: policy_ of endpoint 42 is /sys/fs/bpf/tc/globals/policy_00042
}
