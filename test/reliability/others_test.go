package reliability

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// largeMaps are declarations of maps that the kernel takes long to make.
func largeMaps() map[string]string {
	return map[string]string{
		"a ringbuf of 512 MiB":  `[{"name": "large_", "type": "ringbuf", "maxEntries": 536870912}]`,
		"an array of 256 MiB":   `[{"name": "large_", "type": "array", "keySize": 4, "valueSize": 4096, "maxEntries": 65536}]`,
		"a hash of two million": `[{"name": "large_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 2000000}]`,
	}
}

// TestNobodyWaitsForAMap: while the kernel makes a pod's map, as long as that takes,
// others come and go.
func TestNobodyWaitsForAMap(t *testing.T) {
	for name, declared := range largeMaps() {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			large := call{verb: "ADD", who: attachment{"net", "large", "eth0"}, root: root, maps: declared}
			small := call{verb: "ADD", who: attachment{"net", "small", "eth0"}, root: root, maps: created}
			small.succeed(t)
			var took time.Duration
			at, _, a, err := trace.Run(large.command(), 1, func(nr uint64) bool { return nr == unix.SYS_BPF }, func(int) error {
				for _, verb := range []string{"ADD", "DEL", "ADD", "STATUS", "GC"} {
					took += timed(t, small.as(verb))
				}
				return nil
			})
			if err != nil || at.Nth == 0 || a.Status != 0 {
				t.Errorf("ADD with %s, stopped at %v: got %+v (%v), want success", name, at, a, err)
			}
			if took > bpffs.LockTimeout/2 {
				t.Errorf("five verbs while a map is made: got %v, want them not to wait", took)
			}
			again := timed(t, large)
			large.as("DEL").succeed(t)
			first, others := small.beside(t, large)
			t.Logf("ADD %v, again %v; %d small ADDs and DELs beside the first: %v, %v (p50, max)",
				first, again, len(others), others[len(others)/2], others[len(others)-1])
			empty(t, root, nil, nil)
		})
	}
}

// beside makes ADDs and DELs until another call ends, and returns how long each took.
func (c call) beside(t *testing.T, other call) (took time.Duration, each []time.Duration) {
	t.Helper()
	done := make(chan time.Duration, 1)
	go func() { done <- timed(t, other) }()
	for {
		each = append(each, timed(t, c), timed(t, c.as("DEL")))
		select {
		case took = <-done:
			slices.Sort(each)
			return took, each
		default:
		}
	}
}

// TestNobodyMakesMapsTwice: an ADD of an attachment that has its maps looks at each
// once, and makes none.
func TestNobodyMakesMapsTwice(t *testing.T) {
	for declared, looks := range map[string]int{created: 2, oneMore: 2, namesOnly: 0} {
		add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: declared}
		add.succeed(t)
		at, _, a, err := trace.Run(add.command(), looks+1, func(nr uint64) bool { return nr == unix.SYS_BPF }, func(int) error { return nil })
		if err != nil || a.Status != 0 || at.Nth != 0 {
			t.Errorf("ADD again with %s: got %+v (%v) with more than %d calls of bpf(2), want no map made", declared, a, err, looks)
		}
	}
}

// timed wants the call to succeed, and returns how long it takes.
func timed(t *testing.T, c call) time.Duration {
	t.Helper()
	start := time.Now()
	a, err := c.try()
	if err != nil || a.Status != 0 {
		t.Errorf("%v: got %+v (%v), want success", c, a, err)
	}
	return time.Since(start)
}

// lock keeps the records of a bpffs from everybody until the test ends.
func lock(t *testing.T, root string) {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "cni"))
	testns.Must(t, err)
	t.Cleanup(func() { f.Close() })
	testns.Must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

// TestOnePlaceOnce: one bpffs that several roots show is looked at once, and whatever
// is wrong with another root, the pod's own is what counts.
func TestOnePlaceOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other func(t *testing.T, root, other string) // makes the other root
	}{
		{"the same bpffs", func(t *testing.T, root, other string) { t.Helper(); bind(t, root, mkdirs(t, other)) }},
		{"a link to the same bpffs", func(t *testing.T, root, other string) { t.Helper(); testns.Must(t, os.Symlink(root, other)) }},
		{"a part of the same bpffs", func(t *testing.T, root, other string) {
			t.Helper()
			testns.Must(t, os.Mkdir(root+"/part", 0o700))
			bind(t, root+"/part", mkdirs(t, other))
		}},
		{"locked", func(t *testing.T, _, other string) {
			t.Helper()
			mountBPF(t, other, "mode=0700")
			call{verb: "ADD", who: attachment{"net", "another", "eth0"}, root: other, maps: created}.succeed(t)
			lock(t, other)
		}},
		{"locked, without any pod", func(t *testing.T, _, other string) {
			t.Helper()
			mountBPF(t, other, "mode=0700")
			mkdirs(t, other+"/cni/layout-1")
			testns.Must(t, os.Chmod(other+"/cni", 0o700))
			lock(t, other)
		}},
		{"of another layout", func(t *testing.T, _, other string) {
			t.Helper()
			mountBPF(t, other, "mode=0700")
			mkdirs(t, other+"/cni/layout-9")
		}},
		{"for everybody", func(t *testing.T, _, other string) {
			t.Helper()
			mountBPF(t, other, "mode=0777")
			mkdirs(t, other+"/cni")
		}},
		{"with something mounted on its records", func(t *testing.T, _, other string) {
			t.Helper()
			mountBPF(t, other, "mode=0700")
			testns.Must(t, syscall.Mount("tmpfs", mkdirs(t, other+"/cni"), "tmpfs", 0, ""))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			other := filepath.Join(filepath.Dir(root), "other")
			t.Cleanup(func() { node.Unmount(other + "/cni"); node.Unmount(other) })
			mountBPF(t, root, "mode=0700")
			tt.other(t, root, other)
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
			conf := func(more ...plugintest.Keys) string {
				keys := plugintest.Keys{"bpfRoot": root, "bpfFallback": other, "maps": json.RawMessage(created)}
				return plugintest.Conf(append([]plugintest.Keys{keys}, more...)...)
			}
			result := plugin().Succeed(t, "ADD", conf(), add.env()...).Stdout
			start := time.Now()
			plugin().Succeed(t, "CHECK", conf(plugintest.Keys{"prevResult": json.RawMessage(result)}), add.env()...)
			plugin().Succeed(t, "DEL", conf(), add.env()...)
			if took := time.Since(start); took > bpffs.LockTimeout/2 {
				t.Errorf("CHECK and DEL: got %v, want them not to wait for another root", took)
			}
			if left := readTree(t, root).without([]string{"part"}).left(); len(left) > 0 {
				t.Errorf("after DEL: got %q, want nothing", left)
			}
		})
	}
}

// TestOnePlaceOnceOfParts: records in a part of a bpffs, which a root of its own
// shows, are other records.
func TestOnePlaceOnceOfParts(t *testing.T) {
	for _, verb := range []string{"DEL", "GC"} {
		for name, swap := range map[string]bool{"in the part": true, "in the whole": false} {
			t.Run(verb+" of a pod "+name, func(t *testing.T) {
				root := newRoot(t)
				part := filepath.Join(filepath.Dir(root), "part")
				t.Cleanup(func() { node.Unmount(part) })
				mountBPF(t, root, "mode=0700")
				testns.Must(t, os.Mkdir(root+"/part", 0o700))
				bind(t, root+"/part", mkdirs(t, part))
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
				if swap {
					add.root = part
				}
				paths, err := add.succeed(t).Paths()
				testns.Must(t, err)
				for _, keys := range []plugintest.Keys{{"bpfRoot": part, "bpfFallback": root}, {"bpfRoot": root, "bpfFallback": part}} {
					add.succeed(t)
					conf := plugintest.Conf(keys, plugintest.Keys{"cni.dev/valid-attachments": []string{}})
					plugin().Succeed(t, verb, conf, add.env()...)
					if _, err := os.Lstat(paths[0]); err == nil {
						t.Errorf("%s with %v: got %s left, want it gone", verb, keys, paths[0])
					}
				}
			})
		}
	}
}

// TestOneResolver: what cannot be a root is refused before anything is touched, and
// keeps no pod from being deleted; the verbs agree on what a root is.
func TestOneResolver(t *testing.T) {
	long := "/run/" + strings.Repeat(strings.Repeat("l", 250)+"/", 16)
	for name, root := range map[string]string{
		"dots after something missing": "/run/no/../y", "dots at the end": "/run/node/..", "dots at the start": "/../run/y",
		"too long": long[:3848], "longer than a path": strings.Repeat(long, 2), "relative": "run/y", "with a zero byte": "/run/y\x00z",
		"with a name that is too long": "/run/" + strings.Repeat("n", 256) + "/bpf",
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"bpfRoot", "bpfFallback"} {
				known := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, maps: created}
				node.Unmount(bpffs.DefaultRoot)
				t.Cleanup(func() { node.Unmount(bpffs.DefaultRoot) })
				known.succeed(t)
				wrong := plugintest.Conf(plugintest.Keys{key: root, "cni.dev/valid-attachments": []string{}})
				before := node.Identities(t, "/run")
				var code uint = 7
				if strings.Contains(name, "name that") { // only the file system knows
					code = 100
				}
				if code == 7 || key == "bpfRoot" {
					for _, verb := range []string{"ADD", "CHECK"} {
						if code == 7 || verb == "ADD" {
							plugin().Fail(t, code, []string{root[:4]}, verb, wrong, known.env()...)
						}
					}
				}
				if diff := cmp.Diff(before, node.Identities(t, "/run")); diff != "" {
					t.Errorf("a wrong %s changed something (-before +after):\n%s", key, diff)
				}
				for _, verb := range []string{"DEL", "GC"} {
					known.succeed(t)
					a := plugin().Succeed(t, verb, wrong, known.env()...)
					if code == 7 && !plugintest.Contains(a.Stderr, "warning", key) {
						t.Errorf("%s: got the warning %q, want one about %s", verb, a.Stderr, key)
					}
					node.NothingLeft(t, bpffs.DefaultRoot)
				}
			}
		})
	}
}

// TestOneResolverFollowsNoProcess: a root whose links lead through a process's
// directory of /proc, or to what could not be written as a root, is refused like one
// that is written so.
func TestOneResolverFollowsNoProcess(t *testing.T) {
	dir := filepath.Dir(newRoot(t))
	link := func(name, target string) string {
		at := filepath.Join(dir, name)
		testns.Must(t, os.Symlink(target, at))
		return at
	}
	mkdirs(t, dir+"/new\nline")
	for name, root := range map[string]string{
		"the root of a process":           link("root", "/proc/1/root/run/bpf"),
		"its own root":                    link("own", "/proc/self/root/run/bpf"),
		"the directory of a process":      link("cwd", fmt.Sprintf("/proc/%d/cwd", os.Getpid())),
		"a link further up":               link("up", "/proc/thread-self/root/run") + "/bpf",
		"a link to a link":                link("twice", dir+"/root"),
		"a directory of a process":        link("task", fmt.Sprintf("/proc/%d/task", os.Getpid())),
		"a missing one of a process":      link("missing", fmt.Sprintf("/proc/%d/none", os.Getpid())),
		"standard input":                  "/dev/stdin",
		"what the process has open":       "/dev/fd/0",
		"a name with a control character": link("control", dir+"/new\nline"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"bpfRoot", "bpfFallback"} {
				known := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, maps: created}
				t.Cleanup(func() { node.Unmount(bpffs.DefaultRoot) })
				result := known.succeed(t).Stdout
				wrong := func(more plugintest.Keys) string {
					return plugintest.Conf(plugintest.Keys{key: root, "cni.dev/valid-attachments": []string{}}, more)
				}
				before := node.Identities(t, dir)
				for _, verb := range []string{"ADD", "CHECK", "STATUS"} {
					plugin().Fail(t, 7, []string{key, root[:4]}, verb, wrong(nil), known.env()...)
				}
				if diff := cmp.Diff(before, node.Identities(t, dir)); diff != "" {
					t.Errorf("a wrong %s changed something (-before +after):\n%s", key, diff)
				}
				for _, verb := range []string{"DEL", "GC"} {
					known.succeed(t)
					a := plugin().Succeed(t, verb, wrong(plugintest.Keys{"prevResult": json.RawMessage(result)}), known.env()...)
					if !plugintest.Contains(a.Stderr, "warning", key) {
						t.Errorf("%s: got the warning %q, want one about %s", verb, a.Stderr, key)
					}
					node.NothingLeft(t, bpffs.DefaultRoot)
				}
			}
		})
	}
}

// TestOneResolverTakesNoControlCharacter: what a terminal would obey, or no result in
// JSON can name, is refused in a root and in a prefix.
func TestOneResolverTakesNoControlCharacter(t *testing.T) {
	for _, bad := range []string{"a\nb", "a\tb", "a\x1b[31mb", "a\x7fb", "a\u0085b"} {
		for key, value := range map[string]string{"bpfRoot": "/run/" + bad, "bpfFallback": "/run/" + bad, "mapPrefix": bad} {
			known := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, maps: created}
			t.Cleanup(func() { node.Unmount(bpffs.DefaultRoot) })
			known.succeed(t)
			wrong := plugintest.Conf(plugintest.Keys{key: value, "cni.dev/valid-attachments": []string{}})
			for _, verb := range []string{"ADD", "CHECK", "STATUS"} {
				plugin().Fail(t, 7, []string{key, "control character"}, verb, wrong, known.env()...)
			}
			for _, verb := range []string{"DEL", "GC"} {
				known.succeed(t)
				plugin().Succeed(t, verb, wrong, known.env()...)
				node.NothingLeft(t, bpffs.DefaultRoot)
			}
		}
	}
}
