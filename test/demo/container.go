package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// containerRole is the role of a process that is a pod's container.
const containerRole = "container"

// Where a container sees its volume, and in it what the plugin has mounted.
const (
	inside   = "/run/bpffs"
	statsPin = inside + "/eth0/maps-rw/stats_"
	tokenDir = inside + "/eth0/token"
)

// container does what the pod can do, and what it cannot.
func container(out io.Writer) error {
	runtime.LockOSThread() // capabilities are the thread's
	volume, t, err := receive()
	if err == nil {
		err = mountVolume(volume)
	}
	if err == nil {
		err = testns.KeepCapabilities(1<<unix.CAP_BPF | 1<<unix.CAP_NET_ADMIN)
	}
	if err != nil {
		return err
	}
	for _, a := range t.attempts() {
		if err := a.try(out); err != nil {
			return err
		}
	}
	return nil
}

// receive waits for the volume and the task.
func receive() (volume int, t task, err error) {
	const socket = 3 // the first file that was passed on
	text, rights := make([]byte, os.Getpagesize()), make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := unix.Recvmsg(socket, text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, t, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 {
		return 0, t, errors.New("the demo ended before the container had its volume")
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		return 0, t, err
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, t, err
	}
	return files[0], t, json.Unmarshal(text[:n], &t)
}

// mountVolume hides what the node has in /run and /var/lib, and shows the volume.
func mountVolume(volume int) error {
	for _, dir := range []string{"/run", "/var/lib"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return &os.PathError{Op: "mount", Path: dir, Err: err}
		}
	}
	if err := os.Mkdir(inside, 0o755); err != nil {
		return err
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(volume, "", unix.AT_FDCWD, inside, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// An attempt is what a container does, and whether the kernel must refuse it.
type attempt struct {
	what    string
	do      func() (said string, err error)
	refused bool
}

// attempts are those of a container with or without a token.
func (t task) attempts() []attempt {
	all := []attempt{
		{"look into " + inside, t.look, false},
		{"read its counters in maps-rw/stats_", t.read, false},
	}
	if t.Token {
		p := &program{}
		all = append(all,
			attempt{"create an array, and a program that counts in it", p.load, false},
			attempt{"attach the program to its eth0, send 5 datagrams", p.count, false},
			attempt{"pin the array in token", p.pin, false})
	} else {
		all = append(all, attempt{"load a program for eth0", loads(ebpf.SchedCLS), true})
	}
	return append(all,
		attempt{"create a map of another type, an lru_hash", createHash, true},
		attempt{"load a program for a kprobe", loads(ebpf.Kprobe), true},
		attempt{fmt.Sprintf("open the map of %s by its ID, %d", t.Other, t.Foreign), t.open, true})
}

// try prints how it went, and reports what was not to be expected.
func (a attempt) try(out io.Writer) error {
	said, err := a.do()
	switch {
	case a.refused && err == nil:
		return fmt.Errorf("%s: the kernel allowed it, want a refusal", a.what)
	case a.refused && errors.Is(err, unix.EPERM):
		said = "refused: " + unix.EPERM.Error()
	case err != nil:
		return fmt.Errorf("%s: %w", a.what, err)
	}
	_, err = fmt.Fprintf(out, "  %-50s %s\n", a.what, said)
	return err
}

// look wants the container to see what is its own, and nothing else.
func (t task) look() (string, error) {
	found, err := filepath.Glob(inside + "/*/*/*_")
	if err != nil {
		return "", err
	}
	want := statsPin
	if _, err := os.Stat(tokenDir); err == nil {
		found = append(found, tokenDir)
	}
	if t.Token {
		want += " " + tokenDir
	}
	if got := strings.Join(found, " "); got != want {
		return "", fmt.Errorf("the container sees %q, want %q", got, want)
	}
	return strings.ReplaceAll(want, inside+"/", ""), nil
}

// read wants the map to be the one that the node has for the pod.
func (t task) read() (string, error) {
	m, err := ebpf.LoadPinnedMap(statsPin, nil)
	if err != nil {
		return "", err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return "", err
	}
	if id, _ := info.ID(); id != t.Own {
		return "", fmt.Errorf("the container sees the map %d, want %d", id, t.Own)
	}
	c, err := node.ReadCounters(statsPin)
	return fmt.Sprintf("%d packets received, %d sent", c.Received.Packets, c.Sent.Packets), err
}

func (t task) open() (string, error) {
	m, err := ebpf.NewMapFromID(t.Foreign)
	if err != nil {
		return "", err
	}
	return "", m.Close()
}

func createHash() (string, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return "", err
	}
	return "", m.Close()
}
