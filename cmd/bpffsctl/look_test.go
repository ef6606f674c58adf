package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/gc"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{"list as nobody": listAsNobody, "gc or add": gcOrAdd, "runtime": beRuntime})
	os.Exit(testns.Main(m))
}

// listAsNobody lists the endpoints at a root without the rights to.
func listAsNobody(stdout io.Writer) error {
	testns.Await()
	if err := syscall.Setuid(65534); err != nil {
		return err
	}
	if code := run(context.Background(), []string{"list", "--root", os.Getenv("ROOT")}, stdout, stdout); code != exitFailed {
		return fmt.Errorf("got exit code %d, want %d", code, exitFailed)
	}
	return nil
}

func TestListAsNobody(t *testing.T) {
	testns.Need(t)
	n := newNode(t, "a")
	m := testns.Crowd(t, 1, "list as nobody", func(int) []string { return []string{"ROOT=" + n.root} })[0]
	if m.Err != nil || !strings.HasSuffix(m.Stdout, "run it as root\n") || strings.Contains(m.Stdout, "no endpoints") {
		t.Errorf("list as nobody: got %v: %s%s, want only what to do", m.Err, m.Stdout, m.Stderr)
	}
}

// A node has a bpffs with endpoints of the network "pods".
type node struct {
	root string
	ids  map[string]string // by container
}

// newNode returns a node with one endpoint of each container: "lost" has no
// network namespace any more, the others have that of the test.
func newNode(t *testing.T, containers ...string) *node {
	t.Helper()
	n := &node{testns.BPFFS(t), make(map[string]string)}
	n.add(t, containers...)
	return n
}

// policy is the map that every endpoint of these tests has.
func policy() bpffs.MapDecl {
	return bpffs.MapDecl{Name: "policy_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 8, MaxEntries: 10}}
}

// add does what ADD does for the containers.
func (n *node) add(t *testing.T, containers ...string) {
	t.Helper()
	for _, c := range containers {
		netns := "/proc/self/ns/net"
		if strings.HasPrefix(c, "lost") {
			netns = filepath.Join(t.TempDir(), c)
		}
		id, err := testadd.Add(t.Context(), n.root, bpffs.Attachment{Network: "pods", ContainerID: c, IfName: "eth0"},
			bpffs.Details{Pod: "my-ns/pod-" + c, NetNS: netns}, policy())
		testns.Must(t, err)
		n.ids[c] = fmt.Sprintf("%05d", id)
	}
}

// run runs bpffsctl on the node and reports another exit code than want.
func (n *node) run(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code := run(t.Context(), append(args, "--root", n.root), &out, &errs)
	if code != want {
		t.Errorf("bpffsctl %q: got exit code %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// liveFile returns a file with the IDs of live containers.
func liveFile(t *testing.T, ids ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "live")
	testns.Must(t, os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o600))
	return path
}

// wantWords reports the words that are not in text.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

func TestList(t *testing.T) {
	n := newNode(t, "a", "b", "lost")
	out, errs := n.run(t, exitDone, "list")
	wantWords(t, out, "MAPS", n.ids["a"], "my-ns/pod-b", "hash:10", "netns-gone")
	wantWords(t, errs, "endpoints: 3", "not ok: 1")
	out, errs = n.run(t, exitDone, "ls", "--no-headers", "--state", "netns-gone", "--wide")
	if strings.Count(out, "\n") != 1 || errs != "" {
		t.Errorf("ls of one state: got %q, %q, want one line", out, errs)
	}
	out, _ = n.run(t, exitDone, "list", "--pod", "pod-a", "-o", "json")
	var list inventory.List
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.Version != 1 || len(list.Endpoints) != 1 {
		t.Errorf("list of a pod as JSON: got %v, %+v, want one endpoint", err, list)
	}
	out, _ = n.run(t, exitDone, "list", "--network", "other", "-o", "yaml")
	wantWords(t, out, "endpoints: []\nversion: 1\n")
	for _, other := range [][]string{{"--network", "other"}, {"--pod", "pod"}, {"--container", "x"}, {"--state", "unreadable"}} {
		out, errs = n.run(t, exitDone, append([]string{"list"}, other...)...)
		if out != "" || errs != "no such endpoint\n" {
			t.Errorf("list %v: got %q, %q, want a word on standard error, and not that there are no endpoints", other, out, errs)
		}
	}
	out, errs = newNode(t).run(t, exitDone, "list")
	if out != "" || errs != "no endpoints\n" {
		t.Errorf("list of nothing: got %q, %q, want only a word on standard error", out, errs)
	}
	for _, wrong := range [][]string{{"--sort-by", "x"}, {"--state", "x"}, {"-o", "x"}, {"x"}} {
		_, errs = n.run(t, exitFailed, append([]string{"list"}, wrong...)...)
		wantWords(t, errs, "bpffsctl: ")
	}
}

func TestListWithoutBPFFS(t *testing.T) {
	n := &node{root: t.TempDir()}
	_, errs := n.run(t, exitFailed, "list")
	wantWords(t, errs, n.root, "no bpffs is mounted")
}

func TestShow(t *testing.T) {
	n := newNode(t, "a", "lost1", "lost2")
	out, _ := n.run(t, exitDone, "show", n.ids["a"])
	pin := n.root + "/tc/globals/policy_" + n.ids["a"]
	wantWords(t, out, "Endpoint "+n.ids["a"], "my-ns/pod-a", "State:      ok",
		"bpftool map show pinned "+pin+"\n", "bpftool map dump pinned "+pin+"\n")
	out, errs := n.run(t, exitFound, "show", "my-ns/pod-lost1")
	wantWords(t, out, "netns-gone", "lost1")
	if errs != "" {
		t.Errorf("show of something wrong: got %q, want only the exit code", errs)
	}
	out, _ = n.run(t, exitDone, "show", "a", "-o", "json")
	wantWords(t, out, `"commands": [`)
	_, errs = n.run(t, exitFailed, "show", "lost")
	wantWords(t, errs, "lost1, lost2")
	_, errs = n.run(t, exitFailed, "show", "\x1b[31mnobody")
	wantWords(t, errs, "bpffsctl list", `\x1b`)
	testns.Must(t, os.Remove(pin))
	out, _ = n.run(t, exitFound, "show", n.ids["a"])
	wantWords(t, out, "pin-missing")
}

func TestGC(t *testing.T) {
	n := newNode(t, "live", "running", "lost")
	live := liveFile(t, "live")
	_, errs := n.run(t, exitFailed, "gc", "--live-from", live, "--older-than", "-1h")
	wantWords(t, errs, "--older-than -1h")
	_, errs = n.run(t, exitDone, "gc", "--live-from", live)
	wantWords(t, errs, "spare: 2") // too young
	_, errs = n.run(t, exitFound, "gc", "--live-from", live, "--older-than", "0s")
	wantWords(t, errs, "remove: 1, spare: 1", "--yes")
	out, _ := n.run(t, exitDone, "gc", "--live-from", live, "--older-than", "0s", "--yes", "-o", "json")
	var report gc.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.DryRun || len(report.Endpoints) != 2 {
		t.Errorf("gc --yes as JSON: got %v, %+v, want two endpoints", err, report)
	}
	n.wantContainers(t, "live", "running")
	n.run(t, exitDone, "gc", "--live-from", live, "--older-than", "0s", "--yes", "--force")
	n.wantContainers(t, "live")
}

// What cannot be removed is told, and is an error of the command.
func TestGCFails(t *testing.T) {
	n := newNode(t, "live", "lost")
	testns.Must(t, os.Remove(n.root+"/cni/attachments/pods/lost/eth0"))
	out, errs := n.run(t, exitFailed, "gc", "--yes", "--older-than", "0s", "--live-from", liveFile(t, "live"))
	wantWords(t, out, "bpffsctl doctor")
	wantWords(t, errs, "failed: 1", "see above")
}

// No name reaches the terminal as anything but text, also in an error.
func TestNamesInErrors(t *testing.T) {
	n := newNode(t, "e\x1b[31m1", "e\x1b[31m2")
	_, errs := n.run(t, exitFailed, "show", "e")
	wantWords(t, errs, `e\x1b[31m1`)
	if strings.Contains(errs, "\x1b") {
		t.Errorf("an escape reaches the terminal: %q", errs)
	}
}

// wantContainers reports if other containers than these have endpoints and maps.
func (n *node) wantContainers(t *testing.T, containers ...string) {
	t.Helper()
	out, _ := n.run(t, exitDone, "list", "--no-headers", "--state", "ok", "--sort-by", "container")
	var got []string
	for line := range strings.Lines(out) {
		got = append(got, strings.Fields(line)[3])
	}
	maps, err := filepath.Glob(n.root + "/tc/globals/*")
	if err != nil || strings.Join(got, " ") != strings.Join(containers, " ") || len(maps) != len(containers) {
		t.Errorf("got containers %q with %d maps (%v), want %q", got, len(maps), err, containers)
	}
}

func TestGCRefuses(t *testing.T) {
	n := newNode(t, "lost")
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"an empty list", []string{"--live-from", liveFile(t)}, "--allow-empty"},
		{"no list", []string{"--live-from", n.root + "/no"}, "no such file"},
		{"no runtime", []string{"--cri-socket", n.root + "/no"}, "--cri-socket"},
		{"one runtime of two", []string{"--live-from", liveFile(t, "x"), "--cri-socket", n.root + "/no"}, "--cri-socket"},
		{"a table", []string{"--live-from", liveFile(t, "POD ID")}, "line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"gc", "--yes", "--force", "--older-than", "0s", "--network", "pods"}, tt.args...)
			_, errs := n.run(t, exitFailed, args...)
			wantWords(t, errs, tt.says)
		})
	}
	if out, _ := n.run(t, exitDone, "list", "--no-headers"); strings.Count(out, "\n") != 1 {
		t.Errorf("left: got %q, want the endpoint", out)
	}
	n.run(t, exitDone, "gc", "--yes", "--older-than", "0s", "--live-from", liveFile(t), "--allow-empty", "--network", "pods")
	n.wantContainers(t)
}

// onRead calls do before it is read.
type onRead struct {
	io.Reader
	do func()
}

func (r *onRead) Read(p []byte) (int, error) {
	if r.do != nil {
		r.do()
		r.do = nil
	}
	return r.Reader.Read(p)
}

// A container that starts while gc works is in no list of live ones that was made
// before it, and must not be taken for lost.
func TestGCSparesWhatStartsMeanwhile(t *testing.T) {
	n := newNode(t, "live", "lost")
	cmd := newRoot()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(&onRead{strings.NewReader("live\n"), func() { n.add(t, "lost-later") }})
	cmd.SetArgs([]string{"gc", "--yes", "--older-than", "0s", "--live-from", "-", "--root", n.root})
	testns.Must(t, cmd.ExecuteContext(t.Context()))
	wantWords(t, out.String(), "removed: 1\n")
	if out, _ := n.run(t, exitDone, "list", "--no-headers"); strings.Count(out, "lost-later") != 2 {
		t.Errorf("left: got\n%s\nwant lost-later, too", out)
	}
}

// What is hidden is not taken for absent, and is there again after umount.
func TestHiddenEndpoints(t *testing.T) {
	for _, row := range []struct{ name, fsType, says string }{
		{"a second bpffs", "bpf", "umount"},
		{"a tmpfs", "tmpfs", "umount"},
		{"a ramfs", "ramfs", "umount"},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := newNode(t, "a")
			conf := t.TempDir()
			live := liveFile(t, "x")
			commands := [][]string{
				{"list"}, {"show", "a"}, {"gc", "--live-from", live}, {"uninstall", "--bin-dir", t.TempDir(), "--conf-dir", conf},
			}
			testns.Must(t, syscall.Mount(row.fsType, n.root, row.fsType, 0, ""))
			for _, c := range commands {
				_, errs := n.run(t, exitFailed, c...) // with --root
				wantWords(t, errs, n.root, row.says)
				var all strings.Builder
				if code := run(t.Context(), c, &all, &all); code != exitFailed || !strings.Contains(all.String(), n.root) {
					t.Errorf("%q: got exit code %d and %q, want %d and the path", c, code, all.String(), exitFailed)
				}
			}
			testns.Must(t, syscall.Unmount(n.root, 0))
			n.run(t, exitFound, commands[3]...)
			n.wantContainers(t, "a")
		})
	}
}

// Endpoints are found whatever root the configuration names, or named once.
func TestEveryRoot(t *testing.T) {
	n := newNode(t, "a")
	conf := t.TempDir()
	configured := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"},{"type":"bpffs","bpfRoot":%q}]}`, n.root)
	live := liveFile(t, "live")
	for _, content := range []string{configured, "", "{"} {
		testns.Must(t, os.WriteFile(filepath.Join(conf, "10.conflist"), []byte(content), 0o600))
		for _, c := range []struct {
			words []string
			code  int
		}{
			{[]string{"list"}, exitDone},
			{[]string{"show", "a"}, exitDone},
			{[]string{"gc", "--live-from", live, "--older-than", "0s", "--force", "--network", "pods"}, exitFound},
		} {
			var out strings.Builder
			if code := run(t.Context(), append(c.words, "--conf-dir", conf), &out, &out); code != c.code || !strings.Contains(out.String(), n.ids["a"]) {
				t.Errorf("%q with the configuration %q: got exit code %d and\n%s", c.words, content, code, out.String())
			}
		}
	}
}

// The table has only what is not ok, which may be nothing.
func TestProblems(t *testing.T) {
	n := newNode(t, "a", "b", "lost1", "lost2")
	testns.Must(t, os.Remove(n.root+"/tc/globals/policy_"+n.ids["b"]))
	out, errs := n.run(t, exitDone, "list", "--problems", "--sort-by", "container")
	if strings.Count(out, "\n") != 4 || strings.Contains(out, "pod-a") {
		t.Errorf("list --problems: got\n%s\nwant all but a", out)
	}
	wantWords(t, errs, "endpoints: 3", "not ok: 3")
	out, errs = n.run(t, exitDone, "list", "--problems", "--pod", "pod-a")
	if out != "" || errs != "no endpoint with a problem\n" {
		t.Errorf("list --problems without any: got %q, %q", out, errs)
	}
	n.run(t, exitFailed, "list", "--problems", "--state", "ok")
}

// Whatever a command is called with, what it answers is bounded.
func TestBoundedErrors(t *testing.T) {
	n := newNode(t, "a")
	long := strings.Repeat("x\x1b", 50_000)
	for _, c := range [][]string{
		{"show", long},
		{"list", "--state", long},
		{"list", "--sort-by", long},
		{"list", "-o", long},
		{"list", "--" + long},
		{"gc", "--live-from", "/" + long},
		{long},
	} {
		if _, errs := n.run(t, exitFailed, c...); len(errs) > 8192 || strings.Contains(errs, "\x1b") {
			t.Errorf("%.20q: got %d bytes", c, len(errs))
		}
	}
}

func TestVersion(t *testing.T) {
	var command, flag strings.Builder
	for args, out := range map[string]*strings.Builder{"version": &command, "--version": &flag} {
		if code := run(t.Context(), []string{args}, out, out); code != exitDone {
			t.Errorf("bpffsctl %s: got exit code %d", args, code)
		}
	}
	if command.String() != flag.String() || command.String() != "bpffsctl version "+buildVersion+"\n" {
		t.Errorf("got %q and %q, want the version", command.String(), flag.String())
	}
}
