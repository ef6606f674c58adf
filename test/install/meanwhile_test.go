package install

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// The main plugin writes its file at one step of an edit, which is killed at that
// one or a later one. Whatever the two are, what it wrote is not lost: the next
// command finds it.
func TestKilledMeanwhile(t *testing.T) {
	insert, replace, remove := []string{"install", "--mode", "conflist"}, []string{"install", "--mode", "conflist", "--plugin-conf", pluginConf}, []string{"uninstall", "--keep-binary"}
	for how, all := range map[string][][]string{"renamed": {insert, replace, remove}, "in place": {remove}} {
		for _, words := range all {
			t.Run(how+"/"+strings.Join(words, " "), func(t *testing.T) {
				t.Parallel()
				e := newEdited(t, how, words)
				for killed := 1; e.killed(killed, killed); killed++ {
					e.found(killed, killed)
					for written := 1; written < killed && e.killed(written, killed); written++ {
						e.found(written, killed)
					}
				}
			})
		}
	}
}

// An edited node is one with the plugin, whose list a command changes.
type edited struct {
	*node
	how, path string
	words     []string
	start     string // what is in the list before
}

func newEdited(t *testing.T, how string, words []string) *edited {
	t.Helper()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge", "tuning")})
	n.succeed("install", "--mode", "conflist")
	e := &edited{node: n, how: how, path: n.conf + "/10.conflist", words: words}
	if words[len(words)-1] == "conflist" {
		n.write("net.d/10.conflist", list("net", "bridge", "tuning"))
	}
	e.start = string(contents(t, e.path))
	return e
}

// killed writes the file at one step of the command and kills it at another, which it
// reports to be there.
func (e *edited) killed(written, killed int) bool {
	e.Helper()
	e.write("net.d/10.conflist", e.start)
	seen := 0
	counts := func(nr uint64) bool {
		switch nr {
		case unix.SYS_MKDIRAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_FSYNC: // the steps of an edit
		default:
			return false
		}
		if seen++; seen == written {
			e.rewrite()
		}
		return true
	}
	_, was, _, err := trace.Run(e.command(e.words[0], e.words[1:]...), killed, counts, trace.Kill(unix.SIGKILL))
	testns.Must(e, err)
	return was
}

// rewrite is what the main plugin does.
func (e *edited) rewrite() {
	e.Helper()
	newer := strings.Replace(list("net", "bridge", "tuning"), "{", `{"x-newer": true,`, 1)
	if e.how == "renamed" {
		e.write("net.d/10.conflist", newer)
		return
	}
	testns.Must(e, os.WriteFile(e.path, []byte(newer), 0o644))
}

// found wants the next command to find what the main plugin wrote, and to leave
// nothing else.
func (e *edited) found(written, killed int) {
	e.Helper()
	e.succeed(e.words[0], e.words[1:]...)
	want := "bridge bpffs tuning"
	if e.words[0] == "uninstall" {
		want = "bridge tuning"
	}
	at := fmt.Sprintf("written at step %d, killed at step %d", written, killed)
	if got := string(contents(e, e.path)); !strings.Contains(got, "x-newer") || e.types("net") != want {
		e.Fatalf("%s: got %s, want what was written, with %s", at, got, want)
	}
	for _, dir := range []string{e.bin, e.conf} {
		if _, err := os.Lstat(dir + "/.bpffs-install"); err == nil {
			e.Fatalf("%s: got something left in %s, want nothing", at, dir)
		}
	}
}
