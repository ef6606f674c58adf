package bpffs_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A plugin prepares the node; where is for those that come after it.
func ExampleMount() {
	m, err := bpffs.Mount(context.Background(), bpffs.Roots{})
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
func ExampleFindRoot() {
	root, err := bpffs.FindRoot()
	if errors.Is(err, bpffs.ErrNotMounted) {
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
	endpoints, err := bpffs.CreateEndpoints(context.Background(), bpffs.DefaultRoot)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer endpoints.Close()

	pod := bpffs.Attachment{Network: "my-net", ContainerID: "0a1b2c", IfName: "eth0"}
	id, isNew, err := endpoints.Allocate(pod, bpffs.DefaultMapPrefix, "policy_", "calls_")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pod, "has endpoint ID", id, "- it is new:", isNew)
	if err := endpoints.Release(pod); err != nil { // also removes the two maps
		fmt.Println(err)
	}
}

// A chained plugin adds the paths to the result of the plugin before it, which it
// has from version.ParsePrevResult and types100.GetResult.
func ExampleAppendPaths() {
	prevResult := &types100.Result{
		CNIVersion: "1.0.0",
		Interfaces: []*types100.Interface{{Name: "eth0", Sandbox: "/run/netns/pod"}},
	}
	var dir bpffs.MapDir
	result := bpffs.AppendPaths(prevResult, []string{dir.LocalMapPath("policy_", 42)})
	for _, i := range result.Interfaces {
		fmt.Println(i.Name)
	}
	// Output:
	// eth0
	// /sys/fs/bpf/tc/globals/policy_00042
}

// A plugin that comes later in the chain reads them from its prevResult.
func ExampleLocalMaps() {
	prevResult := &types100.Result{
		CNIVersion: "1.0.0",
		Interfaces: []*types100.Interface{
			{Name: "eth0", Sandbox: "/run/netns/pod"},
			{Name: "/sys/fs/bpf/tc/globals/policy_00042"},
		},
	}
	for _, m := range bpffs.LocalMaps(prevResult) {
		fmt.Printf("%s of endpoint %d is %s\n", m.Name, m.EndpointID, m.Path)
	}
	// Output: policy_ of endpoint 42 is /sys/fs/bpf/tc/globals/policy_00042
}

// An agent looks a container up, or the containers of a pod.
func ExampleLookUp() {
	endpoints, err := bpffs.LookUp(context.Background(), bpffs.DefaultRoot, bpffs.Query{Pod: "my-ns/web-0"})
	if errors.Is(err, bpffs.ErrNotMounted) || errors.Is(err, bpffs.ErrNoRecords) {
		fmt.Println("no pod of this node has an endpoint yet")
		return
	}
	if err != nil { // it is not known whether the pod has one
		fmt.Println(err)
		return
	}
	for _, ep := range endpoints {
		fmt.Println(ep.Attachment.IfName, "has its map at", ep.Pin("policy_"))
	}
}

// An agent keeps a program for each pod: for those that are there, and those that come.
func ExampleWatch() {
	programs := make(map[bpffs.Attachment]string)
	for event, err := range bpffs.Watch(context.Background(), bpffs.DefaultRoot) {
		switch {
		case errors.Is(err, bpffs.ErrWatch), errors.Is(err, bpffs.ErrBadRoot):
			fmt.Println("the watch has ended:", err)
		case err != nil:
			fmt.Println("not seen, the watch goes on:", err)
		case event.Kind == bpffs.Added:
			programs[event.Endpoint.Attachment] = event.Endpoint.Pin("policy_")
		case event.Kind == bpffs.Removed:
			delete(programs, event.Endpoint.Attachment)
		case event.Kind == bpffs.Synced:
			fmt.Println(len(programs), "pods were there already")
		}
	}
}
