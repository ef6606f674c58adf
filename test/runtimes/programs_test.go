package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// The programs that open the maps of a pod by path.

func TestPrograms(t *testing.T) {
	if !onNode(t) {
		return
	}
	paths := addPod(t, "", mapTypes())
	t.Run("bpftool", func(t *testing.T) {
		works(t, "programs", fmt.Sprintf("bpftool map show pinned, %d map types", len(paths)))
		for _, path := range paths {
			if out := mustRun(t, "bpftool", "map", "show", "pinned", path); !strings.Contains(out, kernelName(path)) {
				t.Errorf("bpftool map show pinned %s: got %q, want a map named %s", path, out, kernelName(path))
			}
		}
	})
	t.Run("cilium/ebpf", func(t *testing.T) {
		works(t, "programs", "cilium/ebpf")
		for _, path := range paths {
			m, err := ebpf.LoadPinnedMap(path, nil)
			if err != nil {
				t.Error(err)
				continue
			}
			m.Close()
		}
	})
	t.Run("libbpf", func(t *testing.T) {
		works(t, "programs", "libbpf 1.1, in C")
		out := mustRun(t, compile(t), paths...)
		for i, line := range slices.Collect(strings.Lines(out)) {
			if !strings.HasSuffix(line, " "+kernelName(paths[i])+"\n") {
				t.Errorf("libbpf about %s: got %q, want a map named %s", paths[i], line, kernelName(paths[i]))
			}
		}
	})
}

// mapTypes returns declarations of maps of many types.
func mapTypes() string {
	var maps []string
	for name, shape := range map[string]string{
		"hash":             `"keySize": 8, "valueSize": 8, "maxEntries": 16`,
		"array":            `"keySize": 4, "valueSize": 8, "maxEntries": 16`,
		"percpu_hash":      `"keySize": 8, "valueSize": 8, "maxEntries": 16`,
		"percpu_array":     `"keySize": 4, "valueSize": 8, "maxEntries": 16`,
		"lru_hash":         `"keySize": 8, "valueSize": 8, "maxEntries": 16`,
		"lpm_trie":         `"keySize": 8, "valueSize": 4, "maxEntries": 16, "flags": 1`,
		"array_of_maps":    `"keySize": 4, "valueSize": 4, "maxEntries": 2, "inner": {"type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}`,
		"prog_array":       `"keySize": 4, "valueSize": 4, "maxEntries": 16`,
		"perf_event_array": `"keySize": 4, "valueSize": 4`,
		"devmap":           `"keySize": 4, "valueSize": 4, "maxEntries": 8`,
		"sockhash":         `"keySize": 16, "valueSize": 4, "maxEntries": 8`,
		"queue":            `"valueSize": 64, "maxEntries": 16`,
		"ringbuf":          `"maxEntries": 65536`,
		"bloom_filter":     `"valueSize": 16, "maxEntries": 16`,
	} {
		maps = append(maps, fmt.Sprintf(`{"name": "%s_", "type": %q, %s}`, name, name, shape))
	}
	return strings.Join(maps, ",\n")
}

// kernelName returns how the map at path is called in the kernel.
func kernelName(path string) string {
	const limit, digits = 15, 5
	base := filepath.Base(path)
	return base[:min(len(base)-digits, limit)]
}

// addPod attaches a new pod to a network with these maps, in a bpffs at root, and
// returns their paths.
func addPod(t *testing.T, root, maps string) []string {
	t.Helper()
	plugin := fmt.Sprintf(`{"type": "bpffs", "bpfRoot": %q, "maps": [%s]}`, root, maps)
	text := strings.Replace(conflist("1.0.0", plugin), `{"type": "pktcount"},`, "", 1)
	list, err := libcni.NetworkConfFromBytes([]byte(text))
	testns.Must(t, err)
	pod, err := node.NewPod("pod")
	testns.Must(t, err)
	cni := libcni.NewCNIConfig([]string{cniBin}, nil)
	rt := &libcni.RuntimeConf{ContainerID: "pod", NetNS: pod.NetNS, IfName: "eth0"}
	if _, err := cni.AddNetworkList(t.Context(), list, rt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cni.DelNetworkList(context.WithoutCancel(t.Context()), list, rt); err != nil {
			t.Error(err)
		}
		testns.Must(t, pod.Crash())
	})
	got, err := addition(t, "pod").Paths()
	testns.Must(t, err)
	return got
}

// compile makes a program of show.c.
func compile(t *testing.T) string {
	t.Helper()
	source, program := source(t, "c/show.c"), filepath.Join(t.TempDir(), "show")
	mustRun(t, "gcc", "-Wall", "-Werror", "-o", program, source, "-lbpf")
	return program
}

// source writes a file that is embedded to a place where compilers see it.
func source(t *testing.T, name string) string {
	t.Helper()
	text, err := files.ReadFile(name)
	testns.Must(t, err)
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	write(t, path, string(text))
	return path
}

// object makes a BPF object of count.c, whose map has that name.
func object(t *testing.T, mapName string) string {
	t.Helper()
	source, object := source(t, "c/count.c"), filepath.Join(t.TempDir(), "count.o")
	include := "-I/usr/include/" + strings.TrimSpace(mustRun(t, "gcc", "-print-multiarch"))
	mustRun(t, "clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", include, "-DMAP="+mapName, "-c", source, "-o", object)
	return object
}

func TestTC(t *testing.T) {
	if !onNode(t) {
		return
	}
	const root = "/run/bpf"
	dir, err := bpffs.NewMapDir(root, "")
	testns.Must(t, err)
	paths := addPod(t, root, `{"name": "stats_", "type": "percpu_array", "keySize": 4, "valueSize": 16, "maxEntries": 2}`)
	// Were there only one bpffs, tc would find it in the mount table.
	mustRun(t, "mount", "-t", "bpf", "bpf", bpfRoot)
	link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "switch"})
	mustRun(t, "tc", "qdisc", "add", "dev", "uplink", "clsact")
	tests := []struct {
		name, feature string
		env           []string
		pins          []string
	}{
		{"with", "tc with Environ pins in the map directory, one of two bpffs", dir.Environ(), []string{filepath.Base(paths[0]), "with"}},
		{"without", "tc without it does not", os.Environ(), []string{filepath.Base(paths[0])}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			works(t, "programs", tt.feature)
			loadTC(t, tt.env, "uplink", object(t, tt.name))
			if got := names(t, dir.Path()); !slices.Equal(got, tt.pins) {
				t.Errorf("pinned in %s: got %q, want %q", dir.Path(), got, tt.pins)
			}
			testns.Must(t, os.RemoveAll(filepath.Join(dir.Path(), tt.name)))
		})
	}
	t.Run("own map", func(t *testing.T) {
		works(t, "programs", "tc in the pod's network namespace uses the pod's own map, packets counted")
		tcOwnMap(t, dir, paths[0])
	})
}

// tcOwnMap attaches a program to the pod's interface, in its network namespace,
// that uses the map at path, because it has its name.
func tcOwnMap(t *testing.T, dir bpffs.MapDir, path string) {
	t.Helper()
	mustRun(t, "ip", "netns", "exec", "pod", "tc", "qdisc", "add", "dev", "eth0", "clsact")
	_, err := run(t, dir.Environ(), "ip", "netns", "exec", "pod", "tc", "filter", "add", "dev", "eth0", "egress",
		"bpf", "da", "obj", object(t, filepath.Base(path)), "sec", "tc")
	testns.Must(t, err)
	const packets = 7
	before := sentIn(t, path)
	mustRun(t, "ip", "netns", "exec", "pod", bins+"/runtimes/own/pod", "send", gateway, fmt.Sprint(packets))
	if n := sentIn(t, path) - before; n < packets {
		t.Errorf("packets counted: got %d, want at least %d", n, packets)
	}
}

// loadTC attaches a program to an interface, and detaches it again.
func loadTC(t *testing.T, env []string, dev, object string) {
	t.Helper()
	if _, err := run(t, env, "tc", "filter", "add", "dev", dev, "ingress", "bpf", "da", "obj", object, "sec", "tc"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "tc", "filter", "del", "dev", dev, "ingress")
}

// names returns what is in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testns.Must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
