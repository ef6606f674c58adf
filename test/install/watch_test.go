package install

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	rewriterRole = "rewriter"
	rewriterFile = "BPFFS_TEST_FILE"
	rewriterHow  = "BPFFS_TEST_HOW"
)

// rewrite writes a main plugin's file a hundred times, and says when it is done.
func rewrite(stdout io.Writer) error {
	path, how := os.Getenv(rewriterFile), os.Getenv(rewriterHow)
	for i := range 100 {
		content := []byte(strings.Replace(list("net", "bridge"), "{", fmt.Sprintf(`{"x-version": %d,`, i), 1))
		if how == "in place" {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return err
			}
		} else {
			if err := os.WriteFile(path+".new", content, 0o644); err != nil {
				return err
			}
			if err := os.Rename(path+".new", path); err != nil {
				return err
			}
		}
		time.Sleep(time.Duration(i%10) * time.Millisecond)
	}
	fmt.Fprintln(stdout, "done")
	testns.Await()
	return nil
}

// A watch is a bpffsctl install that does not end at once.
type watch struct {
	*exec.Cmd
	mu   sync.Mutex
	says []string
	done chan struct{}
}

// watch starts to keep the plugin installed until the test ends.
func (n *node) watch(more ...string) *watch {
	n.Helper()
	return n.start(append(more, "--watch")...)
}

// start starts to install.
func (n *node) start(more ...string) *watch {
	n.Helper()
	w := &watch{Cmd: n.command("install", more...), done: make(chan struct{})}
	stderr, err := w.StderrPipe()
	testns.Must(n, err)
	testns.Must(n, w.Start())
	go func() {
		defer close(w.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.mu.Lock()
			w.says = append(w.says, lines.Text())
			w.mu.Unlock()
		}
	}()
	n.Cleanup(func() {
		w.Process.Kill()
		<-w.done
		if n.Failed() {
			n.Logf("it said:\n%s", strings.Join(w.lines(), "\n"))
		}
	})
	return w
}

func (w *watch) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.says...)
}

// stop ends it as kubelet does, and wants it to leave all as it is.
func (n *node) stop(w *watch) {
	n.Helper()
	before := n.tree()
	testns.Must(n, w.Process.Signal(syscall.SIGTERM))
	<-w.done
	if err := w.Wait(); err != nil {
		n.Errorf("after SIGTERM: got %v, want exit code 0", err)
	}
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		n.Errorf("after SIGTERM (-before +after):\n%s", diff)
	}
}

// A main plugin writes its file a hundred times. At each moment there is a list
// with the main plugin, and in the end it is the last one, with ours.
func TestRewritten(t *testing.T) {
	for _, how := range []string{"renamed", "in place"} {
		for _, mode := range []string{"conflist", "drop-in"} {
			t.Run(how+"/"+mode, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
				path := filepath.Join(n.conf, "10.conflist")
				w := n.watch("--mode", mode)
				n.eventually("net", "bridge bpffs")
				stop := make(chan struct{})
				reads := make(chan int)
				go func() { reads <- n.readAll(path, how == "renamed", stop) }()
				testns.Start(t, rewriterRole, rewriterFile+"="+path, rewriterHow+"="+how)
				n.eventually("net", "bridge bpffs")
				close(stop)
				if got := <-reads; got < 100 {
					t.Errorf("looks at the file: got %d, want at least 100", got)
				}
				n.until("the last version", func() bool { return strings.Contains(n.tree()["net.d/10.conflist"], `"x-version": 99`) })
				n.stop(w)
				n.calls("net", "bridge bpffs")
			})
		}
	}
}

// readAll reads the file until stop, and says how often. The writer who writes in
// place is allowed to write half of it.
func (n *node) readAll(path string, whole bool, stop <-chan struct{}) (reads int) {
	for {
		select {
		case <-stop:
			return reads
		default:
		}
		data, err := os.ReadFile(path)
		reads++
		var list struct {
			Plugins []struct{ Type string }
		}
		if err == nil && whole {
			err = json.Unmarshal(data, &list)
			if err == nil && (len(list.Plugins) == 0 || list.Plugins[0].Type != "bridge") {
				err = errors.New("the main plugin is not there")
			}
		}
		if err != nil {
			n.Errorf("what a reader sees: got %q (%v), want a list with the main plugin", data, err)
			return reads
		}
	}
}

// Whatever is taken away comes back, in each mode, and each change is one line.
func TestWatch(t *testing.T) {
	main := list("net", "bridge")
	for _, mode := range []string{"conflist", "drop-in"} {
		for _, tt := range []struct {
			name string
			do   func(n *node)
		}{
			{"the binary is removed", func(n *node) { testns.Must(n, os.Remove(n.bin+"/bpffs")) }},
			{"the binary is cut", func(n *node) { testns.Must(n, os.Truncate(n.bin+"/bpffs", 1000)) }},
			{"the main plugin writes its file", func(n *node) { n.write("net.d/10.conflist", main) }},
			{"in two steps", func(n *node) {
				testns.Must(n, os.WriteFile(n.conf+"/10.conflist", []byte(main[:20]), 0o644))
				time.Sleep(100 * time.Millisecond)
				testns.Must(n, os.WriteFile(n.conf+"/10.conflist", []byte(main), 0o644))
			}},
			{"the main plugin's file is removed, and made", func(n *node) {
				testns.Must(n, os.Remove(n.conf+"/10.conflist"))
				time.Sleep(100 * time.Millisecond)
				n.write("net.d/10.conflist", main)
			}},
			{"the directory is removed, and made", func(n *node) {
				n.remove(n.conf)
				time.Sleep(100 * time.Millisecond)
				n.write("net.d/10.conflist", main)
			}},
			{"the directory is moved, and made", func(n *node) {
				testns.Must(n, os.Rename(n.conf, n.conf+".old"))
				n.write("net.d/10.conflist", main)
			}},
			{"the plugin's directory is removed, and made", func(n *node) {
				n.remove(n.bin)
				testns.Must(n, os.Mkdir(n.bin, 0o755))
			}},
			{"the drop-in file is removed", func(n *node) {
				if err := os.Remove(n.conf + "/net/bpffs.conf"); mode == "drop-in" {
					testns.Must(n, err)
				}
			}},
			{"another network comes first", func(n *node) { n.write("net.d/05.conflist", list("earlier", "calico")) }},
		} {
			t.Run(mode+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, map[string]string{"10.conflist": main})
				w := n.watch("--mode", mode)
				n.eventually("net", "bridge bpffs")
				n.until("the end of the first look", n.isSettled)
				time.Sleep(150 * time.Millisecond) // for a last look at its own changes
				tt.do(n)
				n.until("the binary", func() bool { return strings.Contains(n.tree()["bin/bpffs"], "like ours: true") })
				n.eventually("net", "bridge bpffs")
				if tt.name == "another network comes first" {
					n.eventually("earlier", "calico bpffs")
				}
				n.quiet(w)
				n.stop(w)
			})
		}
	}
}

// remove removes a directory in which files may appear meanwhile.
func (n *node) remove(dir string) {
	n.Helper()
	n.until("nothing to be put back into "+dir, func() bool { return os.RemoveAll(dir) == nil })
}

// quiet wants nothing more to be said when nothing more happens.
func (n *node) quiet(w *watch) {
	n.Helper()
	time.Sleep(150 * time.Millisecond)
	before := len(w.lines())
	time.Sleep(300 * time.Millisecond)
	if after := w.lines(); len(after) > before || before > 8 {
		n.Errorf("lines when nothing happened: got %d, want none, and 8 before at most:\n%s", len(after)-before, strings.Join(after, "\n"))
	}
}

// Until the main plugin has written its file nothing is configured, also with
// the file half written.
func TestWaits(t *testing.T) {
	for _, args := range []string{"", "--watch", "--network net", "--mode drop-in --network net --watch", "--timeout 1h"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, nil)
			if args == "--timeout 1h" {
				testns.Must(t, os.Remove(n.conf))
			}
			w := n.start(strings.Fields(args)...)
			n.until("it to wait", func() bool { return len(w.lines()) > 0 && strings.Contains(w.lines()[len(w.lines())-1], "waiting") })
			if args != "--timeout 1h" {
				n.nothing()
			}
			n.write("net.d/other", "x")
			testns.Must(t, os.WriteFile(n.conf+"/10.conflist", []byte(list("net", "bridge")[:30]), 0o644))
			time.Sleep(150 * time.Millisecond)
			if got := n.tree()["net.d/10.conflist"]; !strings.HasSuffix(got, list("net", "bridge")[:30]) {
				t.Errorf("half a file, later: got %q, want it as it was", got)
			}
			n.write("net.d/10.conflist", list("net", "bridge"))
			n.eventually("net", "bridge bpffs")
		})
	}
}

// What a node has before its main plugin comes is not the main plugin's file, even
// if no plugin can be added to it.
func TestWaitsBesideSingle(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"99-loopback.conf": `{"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}`})
	w := n.watch()
	n.until("it to wait", func() bool { return strings.Contains(strings.Join(w.lines(), ""), "waiting") })
	n.write("net.d/10.conflist", list("net", "bridge"))
	n.eventually("net", "bridge bpffs")
	n.stop(w)
}

// nothing wants the configuration directory to be empty.
func (n *node) nothing() {
	n.Helper()
	entries, err := os.ReadDir(n.conf)
	if err != nil || len(entries) > 0 {
		n.Errorf("%s: got %v (%v), want nothing", n.conf, entries, err)
	}
}

// The main plugin goes, and ours does not become the only one.
func TestMainRemoved(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	w := n.watch("--mode", "conflist")
	n.eventually("net", "bridge bpffs")
	testns.Must(t, os.Remove(n.conf+"/10.conflist"))
	n.until("it to wait", func() bool { return strings.Contains(strings.Join(w.lines(), ""), "waiting") })
	n.nothing()
	n.stop(w)
}

// Two that fight for a file do so slowly, and the log says that they do.
func TestFight(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	w := n.watch("--mode", "conflist")
	changes := 0
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if n.types("net") == "bridge bpffs" {
			changes++
			n.write("net.d/10.conflist", list("net", "bridge"))
		}
	}
	n.eventually("net", "bridge bpffs")
	if changes < 4 || changes > 15 {
		t.Errorf("changes in two and a half seconds: got %d, want a few", changes)
	}
	n.stop(w)
}
