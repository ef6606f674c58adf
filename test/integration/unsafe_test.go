package integration

import (
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const nobody = 65534

// TestUnsafe: in a bpffs that anybody may write to, somebody was there before.
func TestUnsafe(t *testing.T) {
	const records, globals = defaultRoot + "/cni", defaultRoot + "/tc/globals"
	for _, tt := range []struct {
		name, options string
		prepare       func(t *testing.T)
		code          uint
		says          []string
	}{
		{"records of another user", "mode=1777", func(t *testing.T) {
			t.Helper()
			mkdir(t, records)
			testns.Chown(t, records, nobody)
		}, 101, []string{records, "user 65534"}},
		{"records writable by others", "mode=1777", func(t *testing.T) {
			t.Helper()
			mkdir(t, records)
			testns.Must(t, os.Chmod(records, 0o777))
		}, 101, []string{records, "rwxrwxrwx"}},
		{"records that are a link", "mode=1777", func(t *testing.T) {
			t.Helper()
			testns.Must(t, os.Symlink("/etc", records))
		}, 101, []string{records, "not a directory"}},
		{"map directory of another user", "mode=1777", func(t *testing.T) {
			t.Helper()
			mkdir(t, globals)
			testns.Chown(t, globals, nobody)
		}, 101, []string{globals, "user 65534"}},
		{"map directory that is a link", "mode=1777", func(t *testing.T) {
			t.Helper()
			testns.Must(t, os.Symlink("/etc", defaultRoot+"/tc"))
		}, 101, []string{defaultRoot + "/tc", "not a directory"}},
		{"root in which others can rename", "mode=0700", func(t *testing.T) {
			t.Helper()
			testns.Must(t, os.Chmod(defaultRoot, 0o777))
		}, 101, []string{defaultRoot, "chmod go-w"}},
		{"root of another user", "mode=0700", func(t *testing.T) {
			t.Helper()
			testns.Chown(t, defaultRoot, nobody)
		}, 101, []string{defaultRoot, "user 65534"}},
		{"records of a later version", "mode=0700", func(t *testing.T) {
			t.Helper()
			mkdir(t, records+"/layout-2")
		}, 102, []string{"layout-2", records}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			testns.Mount(t, "bpf", defaultRoot, tt.options)
			tt.prepare(t)
			before := snapshot(t)
			p.Fail(t, tt.code, tt.says, "ADD", conf(nil))
			status := tt.code
			if status != 101 {
				status = 50
			}
			p.Fail(t, status, tt.says, "STATUS", conf(nil))
			unchanged(t, before)
		})
	}
}
