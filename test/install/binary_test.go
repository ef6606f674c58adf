package install

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What is at the plugin's place is replaced if it is ours, of any version, or the
// start of what comes there. Everything else stays as it is.
func TestForeignBinary(t *testing.T) {
	whole := string(ours())
	other := strings.Replace(whole, "\x7fELF", "\x7fELG", 1)
	for _, tt := range []struct {
		name, content string
		replaced      bool
	}{
		{"nothing", "", true},
		{"one byte of ours", whole[:1], true},
		{"half of ours", whole[:len(whole)/2], true},
		{"all but one byte of ours", whole[:len(whole)-1], true},
		{"ours", whole, true},
		{"another version of ours", whole + "older", true},
		{"half of another version", other[:len(other)/2], false},
		{"the start of any program", "\x7fELF", true}, // which is the start of ours
		{"the start of another program", string(readProgram(t, "/bin/true"))[:1000], false},
		{"a program in C", string(readProgram(t, "/bin/true")), false},
		{"a script", "#!/bin/sh\n", false},
		{"another Go program", string(readProgram(t, program)), false},
		{"half of another Go program", string(readProgram(t, program))[:100000], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			n.write("bin/bpffs", tt.content)
			before := n.tree()
			if tt.replaced {
				n.succeed("install")
				if got := n.tree()["bin/bpffs"]; !strings.Contains(got, "like ours: true") {
					t.Errorf("the binary: got %.80q, want ours", got)
				}
				return
			}
			n.fail(2, []string{"bin/bpffs is another program", "mv " + n.bin + "/bpffs " + n.bin + "/bpffs.other"}, "install")
			n.fail(2, []string{"bin/bpffs", "not the plugin"}, "uninstall", "--force")
			if diff := cmp.Diff(before, n.tree()); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
			testns.Must(t, os.Rename(n.bin+"/bpffs", n.bin+"/bpffs.other"))
			n.succeed("install")
		})
	}
}

// readProgram returns the bytes of a program.
func readProgram(tb testing.TB, name string) []byte {
	tb.Helper()
	path, err := exec.LookPath(name)
	testns.Must(tb, err)
	return contents(tb, path)
}
