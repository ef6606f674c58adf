package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A tenant is a pod with a user namespace of its own, and the process of its only
// container, which waits for its volume.
type tenant struct {
	*node.Pod
	namespace string
	process   *exec.Cmd
	socket    *os.File // by which the container gets its volume
}

// IgnoreUnknown is for plugins that know none of the others, as runtimes have it.
const argsFormat = "IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%[2]s"

// start starts the process in namespaces of its own. The users of the node from
// firstUser on are root and the other users in there.
func (t *tenant) start(out io.Writer, name string, firstUser int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	t.socket = os.NewFile(uintptr(pair[0]), "the socket of "+name)
	theirs := os.NewFile(uintptr(pair[1]), t.socket.Name())
	defer theirs.Close()
	t.process = testns.Command(containerRole)
	t.process.ExtraFiles = []*os.File{theirs}
	t.process.Stdout, t.process.Stderr = out, os.Stderr
	t.process.SysProcAttr = testns.UserNS(firstUser, syscall.CLONE_NEWNS|syscall.CLONE_NEWNET)
	if err := t.process.Start(); err != nil {
		return err
	}
	if t.Pod, err = node.PodOf(name, t.process.Process.Pid); err != nil {
		return err
	}
	t.Args = fmt.Sprintf(argsFormat, t.namespace, name)
	return errors.Join(os.MkdirAll(t.volume(), 0o750), os.Chmod(t.volume(), 0o777)) // whatever the umask
}

// volume returns where kubelet has the emptyDir of the pod.
func (t *tenant) volume() string {
	return filepath.Join("/var/lib/kubelet/pods", t.Name, "volumes/kubernetes.io~empty-dir/bpffs")
}

// connect attaches the pod to the network.
func (t *tenant) connect(out io.Writer) error {
	fmt.Fprintf(out, "$ CNI_ARGS='%s' cnitool add %s %s\n", t.Args, node.Network, t.NetNS)
	return t.Add()
}

// A task is what a container is told.
type task struct {
	Token   bool       // it gets one
	Own     ebpf.MapID // of the map that it sees
	Other   string     // the name of another pod
	Foreign ebpf.MapID // and its map
}

// use gives the container its volume, as a runtime does: a recursive bind mount. It
// returns when the container has tried what it can do.
func (t *tenant) use(other *tenant) error {
	own, err := t.Objects()
	if err != nil {
		return err
	}
	foreign, err := other.Objects()
	if err != nil {
		return err
	}
	text, err := json.Marshal(task{t.namespace == delegated, own.Map, other.Name, foreign.Map})
	if err != nil {
		return err
	}
	volume, err := unix.OpenTree(unix.AT_FDCWD, t.volume(), unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return &os.PathError{Op: "open_tree", Path: t.volume(), Err: err}
	}
	defer unix.Close(volume)
	if err := unix.Sendmsg(int(t.socket.Fd()), text, unix.UnixRights(volume), nil, 0); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	if err := errors.Join(t.socket.Close(), t.process.Wait()); err != nil {
		return fmt.Errorf("the container of %s: %w", t.Name, err)
	}
	return nil
}
