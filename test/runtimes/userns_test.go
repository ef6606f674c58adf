package runtimes

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestUserNamespace(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "a pod in a user namespace (runc 1.5), packets counted")
	rt.network(t, conflist("1.1.0", ours))
	p := rt.newPod(t, "userns")
	p.inUserNamespace()
	must(t, p.run)
	ep := pinned(t, p.id)
	isOthers(t, p.id)
	counts(t, ep, p.send, p.container(t))
	p.end(t)
	nothingLeft(t)
}

// isOthers reports if the network namespace of a container belongs to our own
// user namespace.
func isOthers(t *testing.T, id string) {
	t.Helper()
	path := addition(t, id).NetNS
	ns, err := os.Open(path)
	testns.Must(t, err)
	defer ns.Close()
	fd, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		t.Fatalf("the owner of %s: %v", path, err)
	}
	owner := os.NewFile(uintptr(fd), "the user namespace of "+path)
	defer owner.Close()
	its, err := owner.Stat()
	testns.Must(t, err)
	own, err := os.Stat("/proc/self/ns/user")
	testns.Must(t, err)
	if os.SameFile(its, own) {
		t.Errorf("the user namespace of %s: got our own, want another", path)
	}
}
