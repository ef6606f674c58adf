package runtimes

import (
	"fmt"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Files in the directory of a network add plugins to its chain, from libcni 1.3
// on. The network's own file stays as it is.

func TestDropIn(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "drop-in files beside an untouched conflist")
	writeDropIns(t)
	rt.network(t, bridgeOnly)
	life(t, rt, "1.0.0")
}

// A pod on a runtime whose libcni does not know drop-in files runs without what
// is in them.
func TestDropInIgnored(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "1.6")
	works(t, rt.subject(), "drop-in files are ignored: pods run without bpffs")
	writeDropIns(t)
	rt.network(t, bridgeOnly)
	p := rt.newPod(t, "plain")
	must(t, p.run)
	if all := endpoints(t); len(all) > 0 || recorded(t) != nil {
		t.Errorf("endpoints and calls: got %v and %+v, want none", all, recorded(t))
	}
	p.end(t)
}

// containerd looks at drop-in files when it starts, and when something is written,
// renamed or removed in its configuration directory itself.
func TestDropInLater(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "drop-in files that come later are seen after a write, rename or removal in the directory above")
	testns.Must(t, os.Mkdir(confDir+"/"+network, 0o755))
	rt.network(t, bridgeOnly)
	writeDropIns(t)
	p := rt.newPod(t, "early")
	must(t, p.run)
	if all := endpoints(t); len(all) > 0 {
		t.Errorf("endpoints: got %v, want none, for the documentation says that containerd does not notice the files", all)
	}
	p.end(t)
	write(t, confDir+"/any", "")
	testns.Must(t, os.Remove(confDir+"/any"))
	waitFor(t, "containerd to see the files", func() bool {
		p := rt.newPod(t, "late")
		must(t, p.run)
		has := len(endpoints(t)) == 1
		p.end(t)
		return has
	})
	nothingLeft(t)
}

// bridgeOnly is a network without our plugin.
const bridgeOnly = `{"cniVersion": "1.0.0", "name": "` + network + `", "plugins": [{"type": "bridge", "bridge": "br0",
	"isGateway": true, "ipam": {"type": "host-local", "subnet": "10.244.79.0/24", "routes": [{"dst": "0.0.0.0/0"}]}}]}`

// writeDropIns writes files with the plugins that bridgeOnly lacks.
func writeDropIns(t *testing.T) {
	t.Helper()
	dir := confDir + "/" + network
	write(t, dir+"/10-bpffs.conf", ours)
	write(t, dir+"/20-pktcount.conf", `{"type": "pktcount"}`)
	write(t, dir+"/30-record.conf", fmt.Sprintf(`{"type": "record", "log": %q, "failAdd": %q}`, callLog, failFile))
}
