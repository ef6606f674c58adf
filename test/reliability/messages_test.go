package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// bounded wants what a call prints to be short, and in lines of printable text.
func bounded(t *testing.T, what string, a answer) {
	t.Helper()
	const limit = 5 << 10
	e, _ := a.Error() // none after a success
	for name, text := range map[string]string{"message": e.Msg, "details": e.Details, "warnings": strings.ReplaceAll(a.Stderr, "\n", "")} {
		if len(text) > limit {
			t.Errorf("%s: got %s of %d bytes (%.200q…), want at most %d", what, name, len(text), text, limit)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: got the %s %.500q, want no control characters", what, name, text)
		}
	}
}

// TestMessagesAreBoundedWithManyStuck: the message names a few of the endpoints that
// cannot be removed, and how many more there are.
func TestMessagesAreBoundedWithManyStuck(t *testing.T) {
	for _, n := range []int{3, 4, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			root := newRoot(t)
			for _, who := range numbered("net", strings.Repeat("c", 200), n) {
				paths, err := call{verb: "ADD", who: who, root: root, maps: namesOnly}.succeed(t).Paths()
				testns.Must(t, err)
				for _, path := range paths {
					testns.Must(t, os.Mkdir(path, 0o700))
					testns.Must(t, syscall.Mount("tmpfs", path, "tmpfs", 0, ""))
					t.Cleanup(func() { node.Unmount(path) })
				}
			}
			gc := call{verb: "GC", who: attachment{network: "net"}, root: root}
			a, err := gc.try()
			testns.Must(t, err)
			parts := []string{"cannot remove a pin of endpoint", root}
			if n > 3 {
				parts = append(parts, fmt.Sprintf("and %d more", n-3))
			}
			a.WantError(t, "GC", 108, parts...)
			bounded(t, "GC", a)
		})
	}
}

// deepen makes directories in each other, as deep as no path can say, with one more
// at the bottom for each name.
func deepen(t *testing.T, path string, depth int) (bottom int) {
	t.Helper()
	testns.Must(t, os.Mkdir(path, 0o700))
	at, err := unix.Open(path, unix.O_DIRECTORY, 0)
	testns.Must(t, err)
	for range depth {
		testns.Must(t, unix.Mkdirat(at, "d", 0o700))
		testns.Must(t, unix.Symlinkat("missing", at, "l"))
		next, err := unix.Openat(at, "d", unix.O_DIRECTORY, 0)
		testns.Must(t, err)
		unix.Close(at)
		at = next
	}
	return at
}

// TestMessagesAreBoundedInADeepTree: removal needs as few descriptors for a deep tree
// as for a flat one, and says in few words what is stuck in it.
func TestMessagesAreBoundedInADeepTree(t *testing.T) {
	for _, depth := range []int{2, 1200, 5000} {
		for _, verb := range []string{"DEL", "GC"} {
			t.Run(fmt.Sprint(verb, " ", depth), func(t *testing.T) {
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: namesOnly}
				paths, err := add.succeed(t).Paths()
				testns.Must(t, err)
				bottom := deepen(t, paths[0], depth)
				where := fmt.Sprintf("/proc/self/fd/%d", bottom)
				testns.Must(t, syscall.Mount("tmpfs", where, "tmpfs", 0, ""))
				stuck, err := add.as(verb).tryWithin(plugintest.Limits{Files: 16})
				testns.Must(t, err)
				stuck.WantError(t, verb, 108, "device or resource busy", paths[0])
				bounded(t, verb, stuck)
				testns.Must(t, unix.Unmount(where+"/../d", unix.MNT_DETACH))
				unix.Close(bottom)
				few, err := add.as(verb).tryWithin(plugintest.Limits{Files: 16})
				testns.Must(t, err)
				if few.Status != 0 {
					t.Errorf("%s with 16 files: got %.1000q, want success", verb, fmt.Sprint(few))
				}
				node.NothingLeft(t, add.root)
			})
		}
	}
}

// TestMessagesAreBoundedWhateverTheyName: what comes from outside is quoted, and cut.
func TestMessagesAreBoundedWhateverTheyName(t *testing.T) {
	const evil = "\x1b[31m\x00\n\r\t\u202e\u009b\xff"
	keys := plugintest.Keys{}
	for i := range 1000 {
		keys[fmt.Sprint(evil, i)] = i
	}
	for name, tt := range map[string]struct {
		conf plugintest.Keys
		env  []string
	}{
		"unknown keys":               {keys, nil},
		"a long unknown key":         {plugintest.Keys{strings.Repeat(evil, 100_000): 1}, nil},
		"a root":                     {plugintest.Keys{"bpfRoot": "run" + evil}, nil},
		"a long root":                {plugintest.Keys{"bpfRoot": "/run/" + strings.Repeat(evil, 100_000)}, nil},
		"a root that is missing":     {plugintest.Keys{"bpfRoot": "/run/\x1b[31m\n/y"}, nil},
		"a map prefix":               {plugintest.Keys{"mapPrefix": strings.Repeat(evil+"/", 50_000)}, nil},
		"the name of a map":          {plugintest.Keys{"maps": []plugintest.Keys{{"name": strings.Repeat(evil, 50_000)}}}, nil},
		"a key of a map":             {plugintest.Keys{"maps": []plugintest.Keys{{"name": "a", strings.Repeat(evil, 50_000): 1}}}, nil},
		"many wrong maps":            {plugintest.Keys{"maps": make([]plugintest.Keys, 5000)}, nil},
		"the type of a map":          {plugintest.Keys{"maps": []plugintest.Keys{{"name": "a", "type": strings.Repeat(evil, 50_000)}}}, nil},
		"a network":                  {plugintest.Keys{"name": "n" + strings.Repeat(evil, 50_000)}, nil},
		"a long network":             {plugintest.Keys{"name": strings.Repeat("n", 100_000)}, nil},
		"a version":                  {plugintest.Keys{"cniVersion": strings.Repeat(evil, 50_000)}, nil},
		"a container ID":             {nil, []string{"CNI_CONTAINERID=c" + strings.Repeat("\x1b\n", 40_000)}},
		"a long container ID":        {nil, []string{"CNI_CONTAINERID=" + strings.Repeat("c", 100_000)}},
		"an interface":               {nil, []string{"CNI_IFNAME=" + strings.Repeat("\x1b\n", 40_000)}},
		"a verb":                     {nil, []string{"CNI_COMMAND=" + strings.Repeat("\x1b\n", 40_000)}},
		"an argument":                {nil, []string{"CNI_ARGS=" + strings.Repeat("\x1b\n", 40_000)}},
		"a network namespace":        {nil, []string{"CNI_NETNS=/" + strings.Repeat("\x1b\n", 40_000)}},
		"a list of what is valid":    {plugintest.Keys{"cni.dev/valid-attachments": []string{strings.Repeat(evil, 50_000)}}, nil},
		"an interface in prevResult": {plugintest.Keys{"prevResult": strings.Repeat(evil, 50_000)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			for _, verb := range []string{"ADD", "CHECK", "STATUS", "GC", "DEL"} {
				conf := plugintest.Conf(plugintest.Keys{"bpfRoot": root}, tt.conf)
				a := plugin().Call(t, verb, conf, tt.env...)
				bounded(t, verb, a)
				if e, err := a.Error(); a.Status != 0 && (err != nil || e.Msg == "") {
					t.Errorf("%s: got %.300q (%v), want success or a CNI error", verb, fmt.Sprint(a), err)
				}
			}
		})
	}
}

// TestMessagesAreBoundedOfForeignRecords: names that somebody else made in the records
// are quoted.
func TestMessagesAreBoundedOfForeignRecords(t *testing.T) {
	for _, dir := range []string{"cni/attachments/net", "cni/attachments/net/c", "cni/endpoints", "cni"} {
		t.Run(dir, func(t *testing.T) {
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: namesOnly}
			result := add.succeed(t).Stdout
			for i := range 200 {
				testns.Must(t, os.Mkdir(filepath.Join(add.root, dir, fmt.Sprintf("%%\x1b[31m\n%d%s", i, strings.Repeat("x", 200))), 0o700))
			}
			if dir == "cni" {
				testns.Must(t, os.Remove(filepath.Join(add.root, "cni/layout-1")))
			}
			for _, verb := range []string{"ADD", "STATUS", "GC", "DEL"} {
				a, err := add.as(verb).try()
				testns.Must(t, err)
				bounded(t, verb, a)
			}
			bounded(t, "CHECK", add.check(t, result))
		})
	}
}
