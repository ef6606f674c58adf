package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
)

// The pod whose volume the plugin fills.
const (
	podUID       = "5e0c1d8e-1111-2222-3333-444455556666"
	podNamespace = "bench"
)

// manyMounts is where the cost of a token is measured once more.
const manyMounts = 2000

// measureVolumes measures what pods cost that see their maps in a volume, beside the
// same pods before there was such a thing.
func (l *lab) measureVolumes() error {
	kubelet := l.path("kubelet")
	if err := os.MkdirAll(filepath.Join(kubelet, "pods", podUID, "volumes/kubernetes.io~empty-dir/asked"), 0o755); err != nil {
		return err
	}
	base := l.newPod(created4)
	silent, asks := l.newPod(seen4), l.newPod(seen4)
	silent.shows(kubelet, "not-asked")
	asks.shows(kubelet, "asked")
	s, err := l.interleave(subject{"base", base.addOnly}, subject{"silent", silent.addOnly}, subject{"asks", asks.addOnly})
	if err != nil {
		return err
	}
	l.add(s.row("ADD, 4 maps created, a pod that could see them and does not ask", "silent", "base", "4 created", atMost(1.02, 1.01)))
	l.add(s.beyond("ADD, 4 maps created, that the pod sees in two directories", "asks", "base", atMost(0.6, 0.4)))
	return l.measureTokens(kubelet)
}

// measureTokens measures what a token costs at few and at many mounts, beside the
// same pods without one.
func (l *lab) measureTokens(kubeletDir string) error {
	if err := token.CheckKernel(); err != nil {
		l.add(row{what: "ADD, 4 maps created, with a token", of: fmt.Sprintf("not measured: %v", err)})
		return nil
	}
	foreign := *l.node
	var err error
	if foreign.netns, err = l.foreignNetNS(); err != nil {
		return err
	}
	for _, mounts := range []int{fewMounts, manyMounts} {
		if err := l.measureToken(&foreign, kubeletDir, mounts); err != nil {
			return err
		}
	}
	return nil
}

// measureToken measures it for pods of the node, at as many mounts.
func (l *lab) measureToken(n *node, kubeletDir string, mounts int) error {
	at, err := newPlace()
	if err != nil {
		return err
	}
	defer close(at)
	if err := at.do(func() error { return n.grow(mounts) }); err != nil {
		return err
	}
	base, gets := n.newPod(created4), n.newPod(created4)
	gets.shows(kubeletDir, "asked")
	gets.maps += `,"delegate":{"namespaces":["` + podNamespace + `"],"maps":["array"],"programs":["sched_cls"]}`
	s, err := l.interleave(at.measured(subject{"base", base.addOnly}), at.measured(subject{"gets", gets.addOnly}))
	if err == nil {
		l.add(s.beyond(fmt.Sprintf("ADD, 4 maps created, with a token, at %s mounts", thousands(mounts)), "gets", "base", bar{}))
	}
	return err
}

// beyond returns the row about what the subject a takes more than the subject base, as
// multiples of the empty program.
func (s samples) beyond(what, a, base string, limit bar) row {
	r := s.row(what, a, "", "", bar{})
	r.value = float64(s.median(a)-s.median(base)) / float64(s.median("empty"))
	r.unit, r.of, r.bar = "×", "empty, beyond 4 created", limit
	return r
}

// foreignNetNS makes a network namespace that belongs to a user namespace of its own,
// and returns its path.
func (n *node) foreignNetNS() (string, error) {
	path := n.path("foreign")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return "", err
	}
	const firstUser = 100_000
	cmd := exec.Command("cat") // it has the namespaces until its input ends
	cmd.SysProcAttr = testns.UserNS(firstUser, syscall.CLONE_NEWNET)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", fmt.Errorf("making a user namespace: %w", err)
	}
	err = syscall.Mount(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), path, "", syscall.MS_BIND, "")
	return path, errors.Join(err, stdin.Close(), cmd.Wait())
}

// shows lets the pod see its maps in the volume, if kubelet has made it.
func (p *pod) shows(kubeletDir, volume string) {
	p.maps += `,"podVolume":"` + volume + `","kubeletDir":"` + kubeletDir + `"`
	p.args = "K8S_POD_NAMESPACE=" + podNamespace + ";K8S_POD_UID=" + podUID
}
