package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What somebody has mounted where a pin should be is not removed.
func TestDelNeverRemovesThroughAMount(t *testing.T) {
	p := newNode(t)
	pin := p.Add(t, conf(nil))[0]
	precious := filepath.Join(customDir, "sub/precious")
	mkdir(t, precious)
	mkdir(t, filepath.Join(pin, "below"))
	testns.Bind(t, customDir, filepath.Join(pin, "below"))
	p.Fail(t, 108, []string{"busy"}, "DEL", conf(nil))
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("what is mounted below a pin, after DEL: got %v, want it to be there", err)
	}
	testns.UnmountAll(t, filepath.Join(pin, "below"))
	p.Succeed(t, "DEL", conf(nil))
}

func TestDirectoryWithContentsIsNotHidden(t *testing.T) {
	p := newNode(t)
	mkdir(t, filepath.Join(customRoot, "precious"))
	c := conf(keys{"bpfRoot": customRoot})
	p.Fail(t, 100, []string{customRoot, "not empty"}, "ADD", c)
	p.Fail(t, 50, []string{customRoot, "not empty"}, "STATUS", c)
	if got := bpfMounts(t); len(got) != 0 {
		t.Errorf("bpffs: got %q, want none", got)
	}
}

func TestGCOfNobody(t *testing.T) {
	p := newNode(t)
	p.Add(t, conf(nil))
	for _, list := range []string{`[null]`, `[{}]`, `[{"containerID": "c1"}]`, `[{"ifname": "eth0"}]`} {
		p.Fail(t, 7, []string{"cni.dev/valid-attachments[0]", "missing"}, "GC", withValid(conf(nil), list))
	}
	p.Succeed(t, "CHECK", conf(keys{"maps": nil}))
}

// A warning that nobody reads does not keep DEL from its work.
func TestClosedStderr(t *testing.T) {
	p := newNode(t)
	p.Add(t, conf(nil))
	r, w, err := os.Pipe()
	testns.Must(t, err)
	testns.Must(t, r.Close())
	defer w.Close()
	cmd := p.Command("DEL", conf(keys{"bpfRoot": "relative"}))
	cmd.Stderr = w
	testns.Must(t, cmd.Run())
	if left, err := os.ReadDir(defaultRoot + "/cni/endpoints"); err != nil || len(left) != 0 {
		t.Errorf("left by DEL with a closed stderr: got %v (%v), want nothing", left, err)
	}
}

// A result that nobody reads blocks no other ADD.
func TestUnreadResult(t *testing.T) {
	p := newNode(t)
	long := make([]keys, 20_000)
	for i := range long {
		long[i] = keys{"name": "veth-of-somebody-else"}
	}
	r, w, err := os.Pipe()
	testns.Must(t, err)
	defer r.Close()
	stuck := p.Command("ADD", conf(keys{"prevResult": keys{"cniVersion": "1.1.0", "interfaces": long}}))
	stuck.Stdout = w
	testns.Must(t, stuck.Start())
	testns.Must(t, w.Close())
	for i := 0; i < 100 && !isThere(defaultRoot+"/cni/attachments/net/c1"); i++ {
		time.Sleep(20 * time.Millisecond)
	}
	p.Add(t, conf(nil), "CNI_CONTAINERID=c2")
	testns.Must(t, r.Close()) // nobody will ever read it: the plugin takes back what it recorded
	if err := stuck.Wait(); err == nil {
		t.Error("ADD whose result nobody reads: got success, want an error")
	}
	if isThere(defaultRoot + "/cni/attachments/net/c1") {
		t.Error("ADD whose result nobody reads: got a record, want none")
	}
}
