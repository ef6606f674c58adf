package main

import (
	"io"

	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// The namespaces of the pods: the configuration delegates to the first.
const (
	delegated = "observability"
	plain     = "shop"
)

// pods plays two pods without privilege that use their own maps, and one of them a
// token.
func pods(out io.Writer) error {
	s := &shell{out: out, env: node.Environ()}
	s.say("Pods without privilege. The same network, with these lines added to the configuration of bpffs:")
	s.run(`grep -E '"(podVolume|pod|delegate|namespaces|programs)"' $NETCONFPATH/pods.conflist`, `"podVolume": "bpffs"`, `"namespaces": \["`+delegated+`"\]`)
	namespace := delegated
	if err := token.CheckKernel(); err != nil {
		s.say("This kernel has no BPF tokens: they need Linux 6.9. So both pods see maps only.")
		namespace = plain
	}
	s.say("Two pods, each in a user namespace of its own. Each declares an emptyDir with the name \"bpffs\".",
		"kubelet makes its directory before the sandbox; here the demo makes it:")
	observer := s.tenant("observer", namespace, 100_000)
	cart := s.tenant("cart", plain, 200_000)
	s.run("ls -d /var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/bpffs", "cart.*\n.*observer")
	for i, p := range []*tenant{observer, cart} {
		s.do(func() error { return p.connect(out) })
		s.do(func() error { return ping(p.Pod, 3*i+3) })
	}
	if namespace == delegated {
		s.say("observer's container binds the volume at /run/bpffs. It has CAP_BPF and CAP_NET_ADMIN in its own user namespace,",
			"and none on the node. The network lists its namespace in delegate, so it finds a token:")
	} else {
		s.say("observer's container binds the volume at /run/bpffs. It has no capability on the node, and finds its own map:")
	}
	s.do(func() error { return observer.use(cart) })
	s.say("cart's container has the same capabilities, but its namespace is not in delegate. It finds its own map, and nothing of observer:")
	s.do(func() error { return cart.use(observer) })
	s.do(func() error { return detach(out, observer.Pod, cart.Pod) })
	s.say("The volumes are empty, as kubelet made them. What a pod pinned in its directory token is also gone:")
	s.run("grep -c /var/lib/kubelet /proc/mounts || true", "^0$")
	s.run("find /var/lib/kubelet/pods -path '*/bpffs/*'")
	return s.err
}

// tenant makes a pod.
func (s *shell) tenant(name, namespace string, firstUser int) *tenant {
	t := &tenant{namespace: namespace}
	s.do(func() error { return t.start(s.out, name, firstUser) })
	return t
}
