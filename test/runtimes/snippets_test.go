package runtimes

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What docs/pods.md shows works.

const (
	podsPage = top + "/docs/pods.md"
	podMaps  = "/run/bpffs/eth0/maps-rw" // in every example
	nobody   = 1000
)

// snippets returns the examples of a page in a language.
func snippets(t *testing.T, page, language string) (texts []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	testns.Must(t, err)
	for _, block := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		text, _, closed := strings.Cut(block, "\n```\n")
		if !closed {
			t.Fatalf("%s: got an example in %s without an end: %s", page, language, block)
		}
		texts = append(texts, text+"\n")
	}
	if len(texts) == 0 {
		t.Fatalf("%s: got no example in %s", page, language)
	}
	return texts
}

// statsMap pins the map of the examples as a pod sees it, and returns its packets.
func statsMap(t *testing.T) (packets int) {
	t.Helper()
	testns.Must(t, os.MkdirAll(podMaps, 0o755))
	testns.Must(t, unix.Mount("bpffs", podMaps, "bpf", 0, "mode=0755"))
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "stats_", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 2})
	testns.Must(t, err)
	defer m.Close()
	cpus := make([][2]uint64, ebpf.MustPossibleCPU())
	for i := range cpus {
		cpus[i] = [2]uint64{uint64(i) + 3, 100}
		packets += i + 3
	}
	testns.Must(t, m.Put(uint32(0), cpus))
	testns.Must(t, m.Pin(podMaps+"/stats_"))
	testns.Must(t, os.Chmod(podMaps+"/stats_", 0o666))
	return packets
}

// buildGo makes a static program of one file.
func buildGo(t *testing.T, source string) string {
	t.Helper()
	file, program := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "program")
	write(t, file, source)
	_, err := run(t, append(os.Environ(), "CGO_ENABLED=0"), "go", "build", "-o", program, file)
	testns.Must(t, err)
	return program
}

// unprivileged runs a program as a user without capabilities.
func unprivileged(t *testing.T, program string) string {
	t.Helper()
	readable := filepath.Join("/run", filepath.Base(t.Name()))
	mustRun(t, "cp", program, readable)
	testns.Must(t, os.Chmod(readable, 0o755))
	cmd := exec.Command(readable)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as user %d: got %v: %s, want success", nobody, err, out)
	}
	return string(out)
}

func TestSnippets(t *testing.T) {
	if !onNode(t) {
		return
	}
	want := strconv.Itoa(statsMap(t)) + " packets\n"
	t.Run("go", func(t *testing.T) {
		if got := unprivileged(t, buildGo(t, snippets(t, podsPage, "go")[0])); got != want {
			t.Errorf("the example in Go: got %q, want %q", got, want)
		}
	})
	t.Run("c", func(t *testing.T) {
		source, program := filepath.Join(t.TempDir(), "example.c"), filepath.Join(t.TempDir(), "example")
		write(t, source, snippets(t, podsPage, "c")[0])
		mustRun(t, "gcc", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lbpf")
		if got := unprivileged(t, program); got != want {
			t.Errorf("the example in C: got %q, want %q", got, want)
		}
	})
	t.Run("python", func(t *testing.T) {
		const python = "/usr/bin/python3"
		if _, err := os.Stat(python); err != nil {
			t.Skip(err)
		}
		got := mustRun(t, python, "-c", "import ctypes, os\n"+snippets(t, podsPage, "python")[0]+`print(os.readlink("/proc/self/fd/%d" % fd))`)
		if got != "anon_inode:bpf-map\n" {
			t.Errorf("the example in Python: got %q, want a map", got)
		}
	})
}

// TestOnlyTheSuperblockIsReadOnly is why maps has a bpffs of its own. Where it
// fails, docs/pods.md has to say something else.
func TestOnlyTheSuperblockIsReadOnly(t *testing.T) {
	if !onNode(t) {
		return
	}
	statsMap(t)
	for _, tt := range []struct {
		name  string
		apply func() error
		want  error
	}{
		{"mode 0444", func() error { return os.Chmod(podMaps+"/stats_", 0o444) }, nil},
		{"read-only mount", func() error {
			return errors.Join(unix.Mount(podMaps, podMaps, "", unix.MS_BIND, ""), unix.Mount("", podMaps, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
		}, nil},
		{"read-only superblock", func() error { return unix.Mount("", podMaps, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") }, unix.EROFS},
	} {
		testns.Must(t, tt.apply())
		for _, readOnly := range []bool{false, true} {
			want := tt.want
			if readOnly {
				want = nil
			}
			m, err := ebpf.LoadPinnedMap(podMaps+"/stats_", &ebpf.LoadPinOptions{ReadOnly: readOnly})
			if !errors.Is(err, want) {
				t.Errorf("%s: opening the map, only for reading %t: got %v, want %v", tt.name, readOnly, err, want)
			}
			if err == nil {
				m.Close()
			}
		}
	}
}
