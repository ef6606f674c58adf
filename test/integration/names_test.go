package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// TestNames: the names that CNI allows and bpffs does not.
func TestNames(t *testing.T) {
	for _, tt := range []struct{ name, network, container, ifName string }{
		{"plain", "net", "c1", "eth0"},
		{"dots", "my.net", "pod.7.x", "eth0.100"},
		{"escapes", "net", "c1", "eth%2E0"},
		{"only dots", "n..", "c...", "..."},
		{"every character", "a_B.9-z", "0_B.9-z", "eth@0,'\"\\"},
		{"as long as can be", strings.Repeat("n", 255), strings.Repeat("c", 255), "abcdefghijklmno"},
		{"as many dots as can be", "n" + strings.Repeat(".", 84), "c" + strings.Repeat(".", 84), strings.Repeat(".", 15)},
		{"not ASCII", "net", "c1", "ethé0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			named := conf(keys{"name": tt.network})
			env := []string{"CNI_CONTAINERID=" + tt.container, "CNI_IFNAME=" + tt.ifName}
			other := p.Add(t, conf(keys{"name": "other"}))
			added := p.addPinned(t, named, env...)
			if cmp.Equal(added, other) {
				t.Errorf("two attachments: got the paths %q for both, want different ones", added)
			}
			p.Succeed(t, "CHECK", conf(keys{"name": tt.network, "prevResult": resultWith(added...)}), env...)
			p.Succeed(t, "DEL", named, env...)
			if got := p.addPinned(t, named, env...); !cmp.Equal(got, added) {
				t.Errorf("ADD again after DEL: got %q, want the same paths: %q", got, added)
			}
			p.Succeed(t, "GC", withValid(named, "[]"))
			p.Succeed(t, "DEL", conf(keys{"name": "other"}))
			node.NothingLeft(t, defaultRoot)
		})
	}
}

// TestLikeNames: attachments that differ in one part only.
func TestLikeNames(t *testing.T) {
	p := newNode(t)
	owner := make(map[string]string)
	for _, network := range []string{"a", "a.b", "a.2Eb"} {
		for _, container := range []string{"c", "c.d", "C"} {
			for _, ifName := range []string{"e", "e.1", "e%2E1"} {
				attachment := network + " " + container + " " + ifName
				id := plugintest.IDOf(p.Add(t, conf(keys{"name": network}), "CNI_CONTAINERID="+container, "CNI_IFNAME="+ifName)[0])
				if other := owner[id]; other != "" {
					t.Errorf("attachments %q and %q: got the same ID %s, want different ones", other, attachment, id)
				}
				owner[id] = attachment
			}
		}
	}
}
