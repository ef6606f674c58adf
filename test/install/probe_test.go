package install

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// probe returns what kubelet gets to know, and the exit code.
func probe(t *testing.T, file string, more ...string) (says string, code int) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"probe", "--status-file", file}, more...)...)
	out, _ := cmd.CombinedOutput() // the exit code says it
	return string(out), cmd.ProcessState.ExitCode()
}

// Ready means installed: whatever else holds is not ready, and says why. Live is who
// looks, whatever it finds.
func TestProbe(t *testing.T) {
	main := list("net", "bridge")
	for _, tt := range []struct {
		name  string
		files map[string]string
		do    func(n *node) // after it was ready; nil: it never was
		why   string
	}{
		{"no network", nil, nil, "net.d: no main plugin is configured"},
		{"half a file", map[string]string{"10.conflist": main[:30]}, nil, "10.conflist"},
		{"a single plugin's file", map[string]string{"99.conf": `{"cniVersion":"1.0.0","name":"lo","type":"loopback"}`}, nil, "waiting: "},
		{"the network is removed", map[string]string{"10.conflist": main}, func(n *node) { testns.Must(n, os.Remove(n.conf+"/10.conflist")) }, "waiting: "},
		{"the directory is removed", map[string]string{"10.conflist": main}, func(n *node) { n.remove(n.conf) }, "waiting: "},
		{"the version becomes too old", map[string]string{"10.conflist": main}, func(n *node) {
			n.write("net.d/10.conflist", strings.Replace(main, "1.0.0", "0.2.0", 1))
		}, "0.2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, tt.files)
			file := filepath.Join(t.TempDir(), "status")
			testns.Must(t, os.WriteFile(file, []byte(`{"looked":"2999-01-01T00:00:00Z","ready":true}`), 0o644)) // of an earlier container
			w := n.watch("--mode", "conflist", "--status-file", file)
			if tt.do != nil {
				n.eventually("net", "bridge bpffs")
				n.until("it to be ready", func() bool { _, code := probe(t, file); return code == 0 })
				tt.do(n)
			}
			var says string
			n.until("the reason", func() bool {
				var code int
				says, code = probe(t, file)
				return code == 1 && strings.Contains(says, tt.why)
			})
			if strings.Count(says, "\n") != 1 {
				t.Errorf("got %q, want one line", says)
			}
			if says, code := probe(t, file, "--live"); code != 0 || says != "" {
				t.Errorf("--live: got %q, exit code %d, want 0", says, code)
			}
			n.write("net.d/10.conflist", main)
			n.until("it to be ready again", func() bool { _, code := probe(t, file); return code == 0 })
			n.stop(w)
		})
	}
}

// Each look that puts something back counts once; what install did at first does not.
func TestRestored(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	file := filepath.Join(t.TempDir(), "status")
	n.watch("--mode", "conflist", "--status-file", file)
	restored := func(want int) {
		t.Helper()
		n.until("it to count", func() bool {
			var s struct {
				Ready    bool
				Restored int
			}
			data, err := os.ReadFile(file)
			return err == nil && json.Unmarshal(data, &s) == nil && s.Ready && s.Restored == want
		})
	}
	restored(0)
	n.write("net.d/10.conflist", list("net", "bridge"))
	restored(1)
	testns.Must(t, os.Remove(n.bin+"/bpffs"))
	restored(2)
	n.write("net.d/unrelated", "x")
	time.Sleep(150 * time.Millisecond)
	restored(2)
}

// What cannot be answered is neither ready nor live; and install does nothing if it
// cannot write what it is to write.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "text": "ready", "old": `{"looked":"2020-01-01T00:00:00Z","ready":true}`} {
		testns.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	for _, tt := range []struct {
		file string
		code int
		want string
	}{
		{"none", 2, "does install --watch run"},
		{"empty", 2, "not a status file"},
		{"text", 2, "not a status file"},
		{".", 2, "not a regular file"},
		{"old", 1, "has not looked at the node for"},
	} {
		for _, more := range []string{"--live=false", "--live"} {
			if says, code := probe(t, filepath.Join(dir, tt.file), more); code != tt.code || !strings.Contains(says, tt.want) {
				t.Errorf("%s %s: got %q, exit code %d, want %q, %d", tt.file, more, says, code, tt.want, tt.code)
			}
		}
	}
	before := n.tree()
	n.fail(2, []string{"writing --status-file", "none/status"}, "install", "--watch", "--status-file", dir+"/none/status")
	n.fail(2, []string{"--status-file", "add --watch"}, "install", "--status-file", dir+"/status")
	if after := n.tree(); after["bin/bpffs"] != before["bin/bpffs"] {
		t.Errorf("the plugin: got %s, want none", after["bin/bpffs"])
	}
}
