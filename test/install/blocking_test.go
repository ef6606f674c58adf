package install

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// forever is how long a command takes that does not end, on the slowest of machines.
const forever = 2 * time.Minute

// unusual are ways to make at a path what is not a regular file.
func unusual() map[string]func(path string) error {
	return map[string]func(string) error{
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o755) },
		"device":    func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o755, int(unix.Mkdev(1, 5))) }, // which has no end
		"socket":    func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o755, 0) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"link to a pipe": func(path string) error {
			pipe := filepath.Join(filepath.Dir(path), "pipe-of-"+filepath.Base(path))
			return errors.Join(syscall.Mkfifo(pipe, 0o755), os.Symlink(pipe, path))
		},
	}
}

// Wherever something stands that is not a regular file, a command ends.
func TestNothingBlocks(t *testing.T) {
	for kind, create := range unusual() {
		for _, place := range []string{
			"bin/bpffs", "bin/.bpffs-install", "net.d/.bpffs-install", "net.d/05.conflist", "net.d/20.conf", "net.d/net", "net.d/net/bpffs.conf", "net.d/net/a.conf", "from", "bin", "net.d",
		} {
			if place != "bin/bpffs" && (kind == "socket" || kind == "directory") {
				continue // which nobody waits for
			}
			t.Run(kind+"/"+place, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
				path := filepath.Join(n.dir, place)
				testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				testns.Must(t, os.RemoveAll(path))
				testns.Must(t, create(path))
				from := plugin
				if place == "from" {
					from = path
				}
				n.ends("install", "--wait=false", "--mode", "drop-in", "--from", from, "--cri-socket", n.dir+"/none")
				n.ends("install", "--wait=false", "--mode", "conflist", "--from", from)
				n.ends("doctor", "--cri-socket", n.dir+"/none")
				n.ends("uninstall", "--force")
			})
		}
	}
}

// ends wants a command to end, and returns how.
func (n *node) ends(command string, more ...string) (says string, code int) {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), forever)
	defer cancel()
	c := n.command(command, more...)
	a, err := plugintest.Run(exec.CommandContext(ctx, c.Path, c.Args[1:]...))
	testns.Must(n, err)
	if ctx.Err() != nil {
		n.Fatalf("%s %v: it did not end", command, more)
	}
	return a.Stdout + a.Stderr, a.Status
}

// What is in the plugin's place is named, with the command that moves it, and stays.
func TestPlaceTaken(t *testing.T) {
	for kind, create := range unusual() {
		t.Run(kind, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			path := n.bin + "/bpffs"
			testns.Must(t, create(path))
			before, err := os.Lstat(path)
			testns.Must(t, err)
			n.fail(2, []string{path, "not a regular file", "mv " + path}, "install")
			n.fail(2, []string{path, "not a regular file", "stays"}, "uninstall", "--force")
			n.calls("net", "bridge")
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s: got %v (%v), want it as it was", path, after, err)
			}
		})
	}
}

// A pipe from which nothing comes is waited for, but not against a signal.
func TestPipesAsInput(t *testing.T) {
	for _, words := range [][]string{{"install", "--wait=false", "--plugin-conf"}, {"install", "--watch", "--plugin-conf"}, {"gc", "--live-from"}} {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			pipe := n.dir + "/pipe"
			testns.Must(t, syscall.Mkfifo(pipe, 0o600))
			cmd := n.command(words[0], append(words[1:], pipe)...)
			if words[0] == "gc" {
				cmd = exec.Command(program, "gc", "--root", testns.BPFFS(t), "--live-from", pipe)
			}
			var says strings.Builder
			cmd.Stderr = &says
			testns.Must(t, cmd.Start())
			var w *os.File
			n.until("it to open the pipe", func() (ok bool) {
				fd, err := syscall.Open(pipe, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0) // ENXIO without a reader
				w = os.NewFile(uintptr(fd), pipe)
				return err == nil
			})
			defer w.Close()
			testns.Must(t, cmd.Process.Signal(syscall.SIGTERM))
			end := time.AfterFunc(forever, func() { cmd.Process.Kill() })
			defer end.Stop()
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(says.String(), pipe) {
				t.Errorf("after SIGTERM: got exit code %d and %q, want 2 and the pipe in it", got, says.String())
			}
			n.calls("net", "bridge")
		})
	}
}

// What comes from a pipe is as good as what comes from a file.
func TestPluginConfFromPipe(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	out, err := exec.Command("bash", "-c", program+` install --bin-dir "$0" --conf-dir "$1" --plugin-conf <(echo '{"type":"bpffs","mapPrefix":"x"}')`, n.bin, n.conf).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.calls("net", "bridge bpffs")
	if got := n.tree()["net.d/10.conflist"]; !strings.Contains(got, `"mapPrefix": "x"`) {
		t.Errorf("the list: got %s, want the configuration from the pipe in it", got)
	}
}

// What does not end is refused, and not kept in memory.
func TestEndlessInput(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	n.fail(2, []string{"/dev/zero: more than"}, "install", "--plugin-conf", "/dev/zero")
	n.fail(2, []string{"/dev/zero: not a regular file"}, "install", "--from", "/dev/zero")
	a, err := plugintest.Run(exec.Command(program, "gc", "--root", testns.BPFFS(t), "--live-from", "/dev/zero"))
	testns.Must(t, err)
	if a.Status != 2 || !strings.Contains(a.Stderr, "/dev/zero: more than") {
		t.Errorf("gc of an endless list: got %d, %q", a.Status, a.Stderr)
	}
}

// A name that somebody chose does not become a line or a command of the terminal.
func TestLogIsClean(t *testing.T) {
	const evil, clean = "10-a\nbpffsctl: removed everything\x1b[2J.conflist", `10-a\x0abpffsctl: removed everything\x1b[2J.conflist`
	n := newNode(t, map[string]string{evil: list("net", "bridge")})
	says := n.succeed("install", "--mode", "conflist")
	if !strings.Contains(says, clean) || strings.Count(says, "\n") != 2 {
		t.Errorf("install: got %q, want two lines, with %q", says, clean)
	}
	n.write("net.d/"+evil, "{")
	n.fail(2, []string{clean}, "install", "--mode", "conflist", "--wait=false")
	n.fail(2, []string{clean}, "install", "--mode", "conflist", "--timeout", "50ms")
	says, _ = n.run("uninstall")
	if !strings.Contains(says, clean) || strings.Contains(says, "\n"+"bpffsctl: removed everything") {
		t.Errorf("uninstall: got %q, want %q in it", says, clean)
	}
}
