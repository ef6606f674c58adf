package runtimes

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestStatus(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "STATUS: NetworkReady is false, and why, while there is no usable bpffs; cniVersion 1.1.0")
	const root = "/run/bpf"
	rt.network(t, conflist("1.1.0", strings.Replace(ours, `"maps"`, `"bpfRoot": "`+root+`", "maps"`, 1)))
	rt.wantNetwork(t, "")
	testns.Must(t, os.Mkdir(root, 0o755))
	testns.Must(t, unix.Mount("tmpfs", root, "tmpfs", 0, ""))
	rt.wantNetwork(t, root)
	testns.Must(t, unix.Unmount(root, 0))
	rt.wantNetwork(t, "")
}
