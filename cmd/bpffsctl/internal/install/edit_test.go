package install

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// files returns what is in the directory, by name.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(path)
	testns.Must(t, err)
	all := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(path, e.Name()))
		testns.Must(t, err)
		all[e.Name()] = string(data)
	}
	return all
}

func put(t *testing.T, path, content string) {
	t.Helper()
	testns.Must(t, os.WriteFile(path, []byte(content), 0o644))
}

func newDir(t *testing.T) *dir {
	t.Helper()
	d, err := openDir(t.Context(), t.TempDir())
	testns.Must(t, err)
	t.Cleanup(d.unlock)
	return d
}

// begin makes what an edit of the file x has when it was killed before its exchange.
func begin(t *testing.T, d *dir, before string) pending {
	t.Helper()
	p := pending{"x", digest([]byte(before)), digest([]byte("ours"))}
	testns.Must(t, os.Mkdir(d.join(scratch), 0o700))
	put(t, d.temp(p), "ours")
	return p
}

// What somebody else writes while a file is replaced is not lost, whenever that is,
// and nothing is left.
func TestReplaceMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replace func(d *dir) error
		want    map[string]string
		err     error
	}{
		{"not at all", func(d *dir) error {
			return d.replace("x", []byte("theirs"), []byte("ours"))
		}, map[string]string{"x": "ours"}, nil},
		{"before", func(d *dir) error {
			return d.replace("x", []byte("older"), []byte("ours"))
		}, map[string]string{"x": "theirs"}, errChanged},
		{"removed", func(d *dir) error {
			return d.replace("y", []byte("theirs"), []byte("ours"))
		}, map[string]string{"x": "theirs"}, errChanged},
		{"removed just before the exchange", func(d *dir) error {
			p := begin(t, d, "theirs")
			testns.Must(t, os.Remove(d.join("x")))
			return d.swap(p)
		}, map[string]string{}, errChanged},
		{"in between the exchanges", func(d *dir) error {
			p := begin(t, d, "older")
			err := d.swap(p)
			put(t, d.join("x"), "newest")
			return err
		}, map[string]string{"x": "newest"}, errChanged},
		{"removed in between the exchanges", func(d *dir) error {
			p := begin(t, d, "older")
			err := d.swap(p)
			testns.Must(t, os.Remove(d.join("x")))
			return err
		}, map[string]string{}, errChanged},
		{"where the file system can only rename, not at all", func(d *dir) error {
			return d.renameOver(begin(t, d, "theirs"))
		}, map[string]string{"x": "ours"}, nil},
		{"where it can only rename, before that", func(d *dir) error {
			return d.renameOver(begin(t, d, "older"))
		}, map[string]string{"x": "theirs"}, errChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDir(t)
			put(t, d.join("x"), "theirs")
			if err := tt.replace(d); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			testns.Must(t, d.clear())
			if diff := cmp.Diff(tt.want, files(t, d.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A file that changes under the edit is edited in its newest version, and one
// that always changes is an error.
func TestEditMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times int // how often somebody else is in between
		err   error
	}{
		{"twice", 2, nil},
		{"always", 1000, errChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDir(t)
			path := d.join("10.conflist")
			put(t, path, `{"name":"n","plugins":[{"type":"main"}]}`)
			all, err := conflist.Read(d.path)
			testns.Must(t, err)
			last, n := "", 0
			in := Installer{Plugin: []byte(`{"type":"bpffs"}`), Log: t.Logf}
			err = in.edit(d, all.Networks[0].File, func(data []byte) ([]byte, error) {
				if n++; n <= tt.times {
					last = `{"name":"n","plugins":[{"type":"main","v":` + string(rune('0'+n%10)) + `}]}`
					put(t, path, last)
				}
				return insert(data)
			})
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			want := last
			if err == nil {
				inserted, err := insert([]byte(last))
				testns.Must(t, err)
				want = string(inserted)
			}
			if diff := cmp.Diff(map[string]string{"10.conflist": want}, files(t, d.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// insert inserts the least configuration of the plugin.
func insert(data []byte) ([]byte, error) {
	return conflist.Insert(data, []byte(`{"type":"bpffs"}`))
}
