package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// What a pod sees in its volume is in all that list and show print, and what somebody
// unmounted is a problem.
func TestVolumes(t *testing.T) {
	for _, row := range []struct {
		name    string
		access  bpffs.PodAccess
		unmount bool
		sees    string
		state   string
	}{
		{"to read", bpffs.PodReads, false, "eth0/maps  policy_   yes", "ok"},
		{"to write", bpffs.PodWrites, false, "eth0/maps-rw  policy_   yes", "ok"},
		{"unmounted", bpffs.PodWrites, true, "eth0/maps-rw  -         no", "volume-missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := newNode(t, "none")
			v := n.show(t, "sees", row.access)
			dir := map[bpffs.PodAccess]string{bpffs.PodReads: "maps", bpffs.PodWrites: "maps-rw"}[row.access]
			path := v.Path() + "/eth0/" + dir
			exit := exitDone
			if row.unmount {
				testns.Must(t, syscall.Unmount(path, 0))
				exit = exitFound
			}
			out, _ := n.run(t, exit, "show", "sees")
			wantWords(t, out, "Pod UID:    "+v.UID, "State:      "+row.state, row.sees, path)
			out, _ = n.run(t, exitDone, "list", "--problems", "--no-headers")
			if strings.Contains(out, n.ids["sees"]) != row.unmount || strings.Contains(out, n.ids["none"]) {
				t.Errorf("list --problems: got %q, want the pod whose volume is unmounted: %v", out, row.unmount)
			}
			out, _ = n.run(t, exitDone, "list", "--state", row.state, "-o", "json")
			var list inventory.List
			testns.Must(t, json.Unmarshal([]byte(out), &list))
			i := slices.IndexFunc(list.Endpoints, func(e inventory.Endpoint) bool { return e.Container == "sees" })
			if i < 0 || len(list.Endpoints[i].Views) != 1 || list.Endpoints[i].Views[0].Path != path || list.Endpoints[i].Views[0].Mounted == row.unmount {
				t.Errorf("list as JSON: got %s, want one view at %s", out, path)
			}
			if strings.Count(out, "podUID") != strings.Count(out, "views") {
				t.Errorf("list as JSON: got %s, want views of one pod only", out)
			}
		})
	}
}

// show does what ADD does for a container whose pod sees its map in a volume.
func (n *node) show(t *testing.T, container string, access bpffs.PodAccess) testadd.Volume {
	t.Helper()
	m := policy()
	m.Pod = access
	id, err := testadd.Add(t.Context(), n.root, bpffs.Attachment{Network: "pods", ContainerID: container, IfName: "eth0"},
		bpffs.Details{Pod: "my-ns/pod-" + container, NetNS: "/proc/self/ns/net"}, m)
	testns.Must(t, err)
	kubelet := t.TempDir()
	testns.Mount(t, "tmpfs", kubelet, "mode=0755")
	v := testadd.Volume{KubeletDir: kubelet, UID: "0a1b-2c"}
	testns.Must(t, v.Show(t.Context(), n.root, id, m))
	n.ids[container] = fmt.Sprintf("%05d", id)
	return v
}
