package conflist_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// FuzzInsert wants every list that gets our plugin to stay a list with the same
// other plugins, and to be itself again when ours is removed.
func FuzzInsert(f *testing.F) {
	for _, data := range networks(f) {
		f.Add(data, []byte(full))
	}
	f.Add([]byte(list(`{"type":"a"} ,{"type":"bpffs"}`)), []byte(plain))
	f.Add([]byte(list(`{"type":"bpffs"},{"type":"bpffs"},{"type":"a"}`)), []byte(plain))
	f.Fuzz(func(t *testing.T, data, plugin []byte) {
		before, err := conflist.Parse(data)
		in, ierr := conflist.Insert(data, plugin)
		if ierr != nil {
			return
		}
		if err != nil {
			t.Fatalf("Parse refuses what Insert takes: %v", err)
		}
		after, err := conflist.Parse(in)
		if err != nil || !json.Valid(in) {
			t.Fatalf("Insert(%q, %q): %q, which is not a list: %v", data, plugin, in, err)
		}
		if again, err := conflist.Insert(in, plugin); err != nil || !bytes.Equal(again, in) {
			t.Errorf("inserted again into %q: %q, %v", in, again, err)
		}
		sameOthers(t, before, after)
		out, err := conflist.Remove(in)
		if err != nil {
			t.Fatalf("Remove(%q): %v", in, err)
		}
		if _, had := before.Ours(); !had && !bytes.Equal(out, data) {
			t.Errorf("Remove(Insert(%q)): %q", data, out)
		}
		removed, err := conflist.Parse(out)
		if err != nil {
			t.Fatalf("Remove(%q): %q, which is not a list: %v", in, out, err)
		}
		if _, ok := removed.Ours(); ok {
			t.Errorf("Remove(%q): %q, which has our plugin", in, out)
		}
		sameOthers(t, before, removed)
	})
}

// sameOthers wants both lists to have the same plugins beside ours, to the byte,
// and the after one to have ours once at most.
func sameOthers(t *testing.T, before, after conflist.List) {
	t.Helper()
	others := func(l conflist.List) (all [][]byte, ours int) {
		for _, p := range l.Plugins {
			if p.Ours() {
				ours++
			} else {
				all = append(all, p.Raw)
			}
		}
		return all, ours
	}
	want, _ := others(before)
	got, ours := others(after)
	if ours > 1 || !bytes.Equal(bytes.Join(want, []byte("\x00")), bytes.Join(got, []byte("\x00"))) {
		t.Errorf("others were %q, are %q, beside %d of ours", want, got, ours)
	}
}

// FuzzSetVersion wants a list with another version to differ in nothing else.
func FuzzSetVersion(f *testing.F) {
	for _, data := range networks(f) {
		f.Add(data)
	}
	f.Add([]byte(list(`{"type":"a","cniVersion":"0.2.0"}`)))
	f.Add([]byte(`{"plugins":[{"type":"a"}],"cniVersions":["1.0.0"],"name":"n","cniVersion":"0.\u0032.0"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := conflist.Parse(data)
		set, serr := conflist.SetVersion(data, "0.3.1")
		if err != nil || serr != nil {
			return // a list with the key twice can be read, but not edited
		}
		after, err := conflist.Parse(set)
		if err != nil || after.CNIVersion != "0.3.1" {
			t.Fatalf("SetVersion(%q): %q, of version %q, %v", data, set, after.CNIVersion, err)
		}
		sameOthers(t, before, after)
		if again, err := conflist.SetVersion(set, "0.3.1"); err != nil || !bytes.Equal(again, set) {
			t.Errorf("set again in %q: %q, %v", set, again, err)
		}
		if before.CNIVersion == "" || bytes.Count(data, []byte(`"`+before.CNIVersion+`"`)) != 1 {
			return
		}
		if back, err := conflist.SetVersion(set, before.CNIVersion); err != nil || !bytes.Equal(back, data) {
			t.Errorf("set in %q, and back: %q, %v", data, back, err)
		}
	})
}
