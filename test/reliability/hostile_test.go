package reliability

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const nobody = 65534

// envTricks carries what a neighbour does.
const envTricks = "BPFFS_TEST_TRICKS"

// A trick is one thing that an unprivileged user does: an operation and its
// arguments.
type trick []string

// neighbour is the role of the user nobody: it prints which of its tricks work.
func neighbour(stdout io.Writer) error {
	var tricks []trick
	if err := json.Unmarshal([]byte(os.Getenv(envTricks)), &tricks); err != nil {
		return err
	}
	works := []trick{}
	for _, tr := range tricks {
		switch err := tr.do(); {
		case err == nil:
			works = append(works, tr)
		case !errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("%q: %w", tr, err)
		}
	}
	return json.NewEncoder(stdout).Encode(works)
}

func (tr trick) do() error {
	const to = 2
	switch path := tr[1]; tr[0] {
	case "mkdir":
		return os.MkdirAll(path, 0o777)
	case "open":
		syscall.Umask(0)
		return os.MkdirAll(path, 0o777)
	case "link":
		return os.Symlink(tr[to], path)
	case "rename":
		return os.Rename(path, tr[to])
	case "remove":
		return os.Remove(path)
	case "chmod":
		return os.Chmod(path, 0o777)
	case "chown":
		return os.Chown(path, nobody, nobody)
	case "list":
		_, err := os.ReadDir(path)
		return err
	case "lock":
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	case "mount":
		return syscall.Mount("bpf", path, "bpf", 0, "")
	case "unmount":
		return syscall.Unmount(path, syscall.MNT_DETACH)
	}
	return fmt.Errorf("there is no trick %q", tr)
}

// play lets the user nobody do its tricks, and returns those that work.
func play(t *testing.T, tricks ...trick) (works []trick) {
	t.Helper()
	text, err := json.Marshal(tricks)
	testns.Must(t, err)
	cmd := testns.Command("neighbour", envTricks+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	a, err := plugintest.Run(cmd)
	testns.Must(t, err)
	if a.Status != 0 {
		t.Fatalf("the neighbour: got %+v, want success", a)
	}
	testns.Must(t, json.Unmarshal([]byte(a.Stdout), &works))
	return works
}

// hostileRoot returns a root whose bpffs anybody may write to, as the kernel's
// default has it, and a directory with something that must not be touched.
func hostileRoot(t *testing.T) (root, victim string) {
	t.Helper()
	root = newRoot(t)
	mountBPF(t, root, "mode=1777")
	victim = filepath.Join(filepath.Dir(root), "victim")
	for _, name := range []string{"globals", "endpoints/00001/owner", "calls_00001", "deep/er"} {
		testns.Must(t, os.MkdirAll(filepath.Join(victim, name), 0o755))
	}
	testns.Must(t, os.WriteFile(filepath.Join(victim, "file"), []byte("precious"), 0o600))
	return root, victim
}

// TestNeighbourWasFirst: somebody prepared the directories of the plugin. It
// refuses them, whatever they are, and changes nothing at all.
func TestNeighbourWasFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tricks func(root, victim string) []trick
	}{
		{"records", func(root, _ string) []trick { return []trick{{"mkdir", root + "/cni"}} }},
		{"records open to all", func(root, _ string) []trick { return []trick{{"open", root + "/cni/endpoints/00001/owner/net/c/eth0"}} }},
		{"whole records", func(root, _ string) []trick {
			return []trick{
				{"mkdir", root + "/cni/layout-1"},
				{"mkdir", root + "/cni/endpoints/00001"},
				{"mkdir", root + "/cni/attachments/net/c"},
				{"link", root + "/cni/endpoints/00001/owner", "net/c/eth0"},
				{"link", root + "/cni/attachments/net/c/eth0", "00001"},
				{"link", root + "/cni/endpoints/00001/pins0", "precious//x"},
			}
		}},
		{"records that are a link", func(root, victim string) []trick { return []trick{{"link", root + "/cni", victim}} }},
		{"records that are a link to the root", func(root, _ string) []trick { return []trick{{"link", root + "/cni", "."}} }},
		{"records that are a link to nothing", func(root, _ string) []trick { return []trick{{"link", root + "/cni", "/missing"}} }},
		{"map directory", func(root, _ string) []trick { return []trick{{"mkdir", root + "/tc/globals"}} }},
		{"map directory that is a link", func(root, victim string) []trick { return []trick{{"link", root + "/tc", victim}} }},
		{"map directory that is a link upwards", func(root, _ string) []trick { return []trick{{"link", root + "/tc", ".."}} }},
		{"lower map directory that is a link", func(root, victim string) []trick {
			return []trick{{"mkdir", root + "/tc"}, {"link", root + "/tc/globals", victim}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root, victim := hostileRoot(t)
			tricks := tt.tricks(root, victim)
			if works := play(t, tricks...); len(works) != len(tricks) {
				t.Fatalf("tricks that work: got %q, want %q", works, tricks)
			}
			before := node.Identities(t, filepath.Dir(root))
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
			add.fail(t, 101, "unsafe directory", root)
			add.as("STATUS").fail(t, 101, root)
			for _, verb := range []string{"DEL", "GC"} { // may succeed or not, but touch nothing
				_, err := add.as(verb).try()
				testns.Must(t, err)
			}
			if diff := cmp.Diff(before, node.Identities(t, filepath.Dir(root))); diff != "" {
				t.Errorf("something changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestNeighbourComesLater: in a bpffs that anybody may write to, nobody can read,
// change, replace or lock what the plugin made, nor keep it from working.
func TestNeighbourComesLater(t *testing.T) {
	root, victim := hostileRoot(t)
	add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
	paths, err := add.succeed(t).Paths()
	testns.Must(t, err)
	before := node.Identities(t, root)
	records, globals := root+"/cni", root+"/"+node.Globals
	if works := play(t,
		trick{"lock", records}, trick{"list", records}, trick{"mkdir", records + "/scratch"},
		trick{"mkdir", records + "/endpoints/00001"}, trick{"rename", records, root + "/mine"}, trick{"remove", records},
		trick{"chmod", records}, trick{"chown", records}, trick{"list", globals}, trick{"lock", globals},
		trick{"rename", root + "/tc", root + "/mine"}, trick{"remove", paths[0]}, trick{"rename", paths[0], root + "/mine"},
		trick{"link", globals + "/calls_00001", victim}, trick{"chmod", root}, trick{"mount", root}, trick{"unmount", root},
	); len(works) > 0 {
		t.Errorf("tricks that work: got %q, want none", works)
	}
	if diff := cmp.Diff(before, node.Identities(t, root)); diff != "" {
		t.Errorf("the neighbour changed something (-before +after):\n%s", diff)
	}
	litter := []trick{{"mkdir", root + "/" + strings.Repeat("deep/", 100)}, {"link", root + "/00001", victim}}
	for _, name := range []string{"scratch", "endpoints", "attachments", "layout-1", "calls_00001", "owner", "cni2", "globals"} {
		litter = append(litter, trick{"mkdir", root + "/" + name + "/00001/owner/net/c/eth0"})
	}
	if works := play(t, litter...); len(works) != len(litter) {
		t.Fatalf("tricks that work: got %q, want %q", works, litter)
	}
	before = unmarked(t, filepath.Dir(root))
	for _, verb := range []string{"STATUS", "ADD"} {
		add.as(verb).succeed(t)
	}
	if diff := cmp.Diff(before, unmarked(t, filepath.Dir(root))); diff != "" {
		t.Errorf("ADD again changed something (-before +after):\n%s", diff)
	}
	add.as("DEL").succeed(t)
	add.as("GC").succeed(t)
	all := readTree(t, root)
	if len(all) == 0 || len(all.left()) < len(litter)*5 {
		t.Errorf("paths of the neighbour after DEL and GC: got %d, want all", len(all))
	}
}

// unmarked returns the identities of all below dir but the mark that each ADD leaves.
func unmarked(t *testing.T, dir string) node.Tree {
	t.Helper()
	all := node.Identities(t, dir)
	for name := range all {
		if filepath.Base(name) == "netns" {
			delete(all, name)
			delete(all, filepath.Dir(name)) // it changes with what is in it
		}
	}
	return all
}

// TestLinksInOurPlace: what is at a recorded path is removed, and never what it
// leads to.
func TestLinksInOurPlace(t *testing.T) {
	root, victim := hostileRoot(t)
	precious := node.Identities(t, victim)
	for _, verb := range []string{"DEL", "GC"} {
		add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: namesOnly}
		paths, err := add.succeed(t).Paths()
		testns.Must(t, err)
		testns.Must(t, os.Symlink(victim, paths[0]))
		testns.Must(t, os.MkdirAll(paths[1]+"/dir", 0o700))
		for i, target := range []string{victim, "../../../..", "/", victim + "/file", "/missing", root + "/cni"} {
			testns.Must(t, os.Symlink(target, fmt.Sprint(paths[1], "/dir/link", i)))
		}
		add.as(verb).succeed(t)
		node.NothingLeft(t, root)
		if diff := cmp.Diff(precious, node.Identities(t, victim)); diff != "" {
			t.Errorf("%s followed a link (-before +after):\n%s", verb, diff)
		}
	}
}

// TestMapDirectoryChanged: the map directory, or the root, is not ours any more. DEL
// removes nothing in it, and keeps the record until it is.
func TestMapDirectoryChanged(t *testing.T) {
	for name, tt := range map[string]struct{ change, undo func(root string) error }{
		"owner": {
			func(root string) error { return os.Chown(root+"/tc/globals", nobody, nobody) },
			func(root string) error { return os.Chown(root+"/tc/globals", 0, 0) },
		},
		"owner further up": {
			func(root string) error { return os.Chown(root+"/tc", nobody, nobody) },
			func(root string) error { return os.Chown(root+"/tc", 0, 0) },
		},
		"mode": {
			func(root string) error { return os.Chmod(root+"/tc/globals", 0o777) },
			func(root string) error { return os.Chmod(root+"/tc/globals", 0o700) },
		},
		"root without a sticky bit": {
			func(root string) error { return os.Chmod(root, 0o777) },
			func(root string) error { return os.Chmod(root, 0o777|os.ModeSticky) },
		},
		"link": {
			func(root string) error {
				return errors.Join(os.Rename(root+"/tc", root+"/real"), os.Symlink("real", root+"/tc"))
			},
			func(root string) error {
				return errors.Join(os.Remove(root+"/tc"), os.Rename(root+"/real", root+"/tc"))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, _ := hostileRoot(t)
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
			add.succeed(t)
			testns.Must(t, tt.change(root))
			before := node.Identities(t, root)
			for _, verb := range []string{"ADD", "DEL", "GC"} {
				add.as(verb).fail(t, 101, "unsafe directory", root)
			}
			if diff := cmp.Diff(before, node.Identities(t, root)); diff != "" {
				t.Errorf("something changed (-before +after):\n%s", diff)
			}
			testns.Must(t, tt.undo(root))
			empty(t, root, nil, nil)
		})
	}
}

// TestHostileNames: no name from a runtime leads out of the records, or to the
// record of another.
func TestHostileNames(t *testing.T) {
	root, victim := hostileRoot(t)
	before := node.Identities(t, victim)
	others := map[string]string{} // whom each ID belongs to
	for _, tt := range []struct {
		part  string // which of the names
		value string
		code  uint // 0: it is a name like any other
	}{
		{"container", "../../victim", 4},
		{"container", "..", 4},
		{"container", ".", 4},
		{"container", "/etc", 4},
		{"container", "a/b", 4},
		{"container", "a%2Fb", 4},
		{"container", "%2E%2E", 4},
		{"container", "ü", 4},
		{"container", "a\nb", 4},
		{"container", "a b", 4},
		{"container", "-rf", 4},
		{"container", "٠", 4},
		{"container", strings.Repeat("a", 256), 4},
		{"container", strings.Repeat("a", 100_000), 4},
		{"container", "a" + strings.Repeat(".", 85), 4}, // 256 bytes when escaped
		{"container", "a..b", 0},
		{"container", "a.", 0},
		{"container", "a2Eb", 0},
		{"container", "a.b", 0},
		{"container", strings.Repeat("a", 255), 0},
		{"container", "scratch", 0},
		{"container", "endpoints", 0},
		{"container", "00001", 0},
		{"container", "layout-1", 0},
		{"interface", "..", 4},
		{"interface", ".", 4},
		{"interface", "../x", 4},
		{"interface", "a/b", 4},
		{"interface", "a:b", 4},
		{"interface", "a\tb", 4},
		{"interface", strings.Repeat("i", 16), 4},
		{"interface", "a\u00a0b", 4},
		{"interface", "%2F", 0},
		{"interface", "%2E%2E", 0},
		{"interface", "...", 0},
		{"interface", "%", 0},
		{"interface", "%25", 0},
		{"interface", "ünïcödé", 0},
		{"interface", "\\x00", 0},
		{"interface", "-", 0},
		{"interface", "*", 0},
		{"interface", "\xff\xfe", 4},
		{"interface", "00001", 0},
		{"interface", "$(id)", 0},
		{"network", "../..", 7},
		{"network", "a/b", 7},
		{"network", ".a", 7},
		{"network", strings.Repeat("n", 300), 7},
		{"network", "cni", 0},
		{"network", "a..b", 0},
		{"network", "scratch", 0},
	} {
		c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
		switch tt.part {
		case "container":
			c.who.container = tt.value
		case "interface":
			c.who.ifName = tt.value
		default:
			c.who.network = tt.value
		}
		if tt.code != 0 {
			c.fail(t, tt.code)
			continue
		}
		id, err := c.succeed(t).ID()
		if other, taken := others[id]; err != nil || taken {
			t.Errorf("%s %q: got the endpoint ID %q (%v), want another, for %s has it", tt.part, tt.value, id, err, other)
		}
		others[id] = tt.value
	}
	sound(t, root, nil)
	if got := len(readTree(t, root).ids()); got != len(others) {
		t.Errorf("records: got %d, want %d", got, len(others))
	}
	for _, network := range []string{"net", "cni", "a..b", "scratch"} {
		call{verb: "GC", who: attachment{network: network}, root: root}.succeed(t)
	}
	node.NothingLeft(t, root)
	if diff := cmp.Diff(before, node.Identities(t, victim)); diff != "" {
		t.Errorf("outside of the root something changed (-before +after):\n%s", diff)
	}
}
