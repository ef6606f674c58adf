package doctor

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// startRuntime starts the runtime of a rig.
func (r *rig) startRuntime() {
	r.t.Helper()
	r.cri = &testcri.Runtime{}
	r.CRISocket = filepath.Join(r.t.TempDir(), "cri.sock")
	stop, err := r.cri.Listen(r.CRISocket)
	if err != nil {
		r.t.Fatal(err)
	}
	r.stopRuntime = stop
	r.t.Cleanup(stop)
}

// beRuntime is a runtime in a mount namespace of its own, in which another bpffs is at
// the path if that is to be.
func beRuntime(stdout io.Writer) error {
	if path := os.Getenv(envPath); path != "" {
		if err := syscall.Mount("bpf", path, "bpf", 0, ""); err != nil {
			return err
		}
	}
	if _, err := (&testcri.Runtime{}).Listen(os.Getenv(envSocket)); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "listens")
	testns.Await()
	return nil
}

// elsewhere starts the runtime in a mount namespace of its own.
func (r *rig) elsewhere(other string) {
	r.t.Helper()
	r.CRISocket = filepath.Join(r.t.TempDir(), "elsewhere.sock")
	testns.StartApart(r.t, "runtime", envSocket+"="+r.CRISocket, envPath+"="+other)
}

func TestFaultsOfTheRuntime(t *testing.T) {
	const list = "10-net.conflist"
	const tooNew = "bpffsctl install --bin-dir BIN --conf-dir NETS --cni-version 1.0.0"
	for _, f := range []fault{
		{
			name: "does not run", check: "runtime", status: Failure, says: "no container runtime listens: ", fix: "journalctl",
			make: func(r *rig) { r.stopRuntime() }, repair: (*rig).startRuntime,
		},
		{
			name: "does not answer", check: "runtime", status: Failure, says: "no answer", fix: "journalctl",
			make: func(r *rig) { r.hurry(); r.cri.Hangs = true }, repair: (*rig).startRuntime,
		},
		{
			name: "speaks no CRI", check: "runtime", status: Failure, says: "it does not speak the CRI", fix: "ls /run/*/*.sock",
			make: func(r *rig) {
				r.CRISocket = filepath.Join(r.t.TempDir(), "other.sock")
				l, err := net.Listen("unix", r.CRISocket)
				if err != nil {
					r.t.Fatal(err)
				}
				server := grpc.NewServer()
				go func() { _ = server.Serve(l) }()
				r.t.Cleanup(server.Stop)
			}, repair: (*rig).startRuntime,
		},
		{
			name: "none at the usual places", check: "runtime", status: Warning, says: "no CRI socket", fix: "--cri-socket",
			make: func(r *rig) { testns.Mount(r.t, "tmpfs", "/run", ""); r.CRISocket = "" }, repair: (*rig).startRuntime,
		},
		{
			name: "network not ready", check: "runtime", status: Failure, says: "the network is not ready: cni plugin not initialized", fix: "what this says",
			make: func(r *rig) { r.cri.WhyNot = "cni plugin not initialized" }, repair: func(r *rig) { r.cri.WhyNot = "" },
		},
		{
			name: "cniVersion too new for it", check: "cni-version", status: Failure, says: "cniVersion 1.1.0 is too new for containerd 1.6.20", fix: tooNew,
			make: func(r *rig) { r.cri.Release = "1.6.20~ds1"; r.write(r.t, list, listOf("1.1.0", "net", ours)) },
		},
		{
			name: "only newer libcni reads the list of versions", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion ""`, fix: tooNew,
			make: func(r *rig) {
				r.cri.Release = "1.6.20~ds1"
				r.write(r.t, list, strings.Replace(listOf("", "net", ours), `"cniVersion": ""`, `"cniVersions": ["0.4.0", "1.0.0", "1.1.0", "1.2.0"]`, 1))
			},
		},
		{
			name: "ignores drop-in files", check: "drop-ins", status: Failure, says: "containerd 1.7.27 ignores drop-in files",
			fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --mode conflist",
			make: func(r *rig) {
				r.cri.Release = "v1.7.27"
				r.write(r.t, list, listOf("1.0.0", "net"))
				r.write(r.t, "net/bpffs.conf", ours)
			},
		},
		{
			name: "not known to read drop-in files", check: "drop-ins", status: Warning, says: "cannot tell whether the runtime reads drop-in files: another 1.33.0",
			fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --mode conflist",
			make: func(r *rig) {
				r.cri.Name, r.cri.Release = "another", "1.33.0"
				r.write(r.t, list, listOf("1.0.0", "net"))
				r.write(r.t, "net/bpffs.conf", ours)
			},
		},
		{
			name: "loses the DEL of drop-in files", check: "drop-ins", status: Failure, says: "cri-o 1.33.0 calls it for ADD, but never for DEL",
			fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --mode conflist",
			make: func(r *rig) {
				r.cri.Name, r.cri.Release = "cri-o", "1.33.0"
				r.write(r.t, list, listOf("1.0.0", "net"))
				r.write(r.t, "net/bpffs.conf", ours)
			},
		},
		{
			name: "sees another bpffs", check: "runtime-namespace", status: Failure, says: "does not see the bpffs at ROOT", fix: "mount -t bpf none ROOT",
			make: func(r *rig) { r.elsewhere(r.Root) }, repair: (*rig).startRuntime,
		},
		{
			name: "will mount in a namespace of its own", check: "runtime-namespace", status: Warning, says: "in which the first ADD mounts the bpffs", fix: "mount -t bpf none ROOT",
			make:   func(r *rig) { r.Root = r.t.TempDir(); r.elsewhere("") },
			repair: func(r *rig) { testns.Mount(r.t, "bpf", r.Root, "mode=0700"); r.elsewhere("") },
		},
	} {
		t.Run(f.name, f.test)
	}
}

// Where nothing is wrong, also in rarer cases, nothing is said.
func TestHealthyRuntimes(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(r *rig)
		says string // one of the findings
	}{
		{"containerd 2.4 reads a drop-in file", func(r *rig) {
			r.write(r.t, "10-net.conflist", listOf("1.1.0", "net"))
			r.write(r.t, "net/bpffs.conf", ours)
		}, "containerd 2.4.2 reads it"},
		{"a namespace of its own in which the bpffs is the same", func(r *rig) { r.elsewhere("") }, "a mount namespace of its own, and sees this bpffs"},
		{"the same namespace", func(*rig) {}, "the runtime is in this mount namespace"},
		{"cri-o with cniVersion 1.1.0", func(r *rig) {
			r.cri.Name, r.cri.Release = "cri-o", "1.33.0"
			r.write(r.t, "10-net.conflist", listOf("1.1.0", "net", ours))
		}, "needs a runtime with libcni 1.2"},
		{"a list of versions, of which some are too new", func(r *rig) {
			r.write(r.t, "10-net.conflist", strings.Replace(listOf("", "net", ours), `"cniVersion": ""`, `"cniVersions": ["0.4.0", "1.0.0", "1.1.0", "1.2.0"]`, 1))
		}, "cniVersion 1.1.0"},
		{"nothing mounted yet", func(r *rig) {
			dir := r.t.TempDir()
			testns.Bind(r.t, dir, dir)
			r.share(r.t, dir)
			r.Root = filepath.Join(dir, "bpf")
		}, "the first ADD mounts a bpffs"},
		{"a name that is reserved for a plugin which has not made its map", func(r *rig) {
			r.hurry()
			r.addNames(r.t, bpffs.Attachment{Network: "net", ContainerID: "c2", IfName: "eth0"}, "stats_", "policy_")
		}, "all maps that the plugin made are there"},
		{"pins of others in the map directory", func(r *rig) { r.pin(r.t, "cilium_lxc"); r.pin(r.t, "cilium_policy_00012") }, "2 pins of others"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			found := r.run(t)
			if bad := faulty(found); len(bad) > 0 {
				t.Errorf("faults on a healthy node: %+v", bad)
			}
			if !strings.Contains(fmt.Sprint(found), row.says) {
				t.Errorf("no finding has %q: %+v", row.says, found)
			}
		})
	}
}

// The processes that have a lock, or listen, may be on the host of a container.
func TestUnknownProcesses(t *testing.T) {
	if found := decideRuntimeNamespace(process{}, site{}, false); len(faulty(found)) > 0 {
		t.Errorf("a runtime whose process is not known: %+v", found)
	}
	s := site{seenErr: fmt.Errorf("records: %w", bpffs.ErrLocked)}
	if found := decideLock(s); len(found) != 1 || found[0].Status != Failure || !strings.Contains(found[0].Fix, "/proc/locks") {
		t.Errorf("a lock whose holder is not known: %+v", found)
	}
}
