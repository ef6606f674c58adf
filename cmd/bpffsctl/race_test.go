package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// lostOnes is how many lost endpoints there are for each process that adds.
const lostOnes = 50

// A container of which no DEL came may start again, in a new network namespace,
// while gc is about to remove what it left. Whoever comes first: what ADD returned
// to it stays.
func TestGCBesideADD(t *testing.T) {
	testns.Need(t)
	const adders = 4
	containers := []string{"live"}
	for i := range adders * lostOnes {
		containers = append(containers, fmt.Sprintf("lost-%d", i))
	}
	n := newNode(t, containers...)
	live := liveFile(t, "live")
	for i, m := range testns.Crowd(t, 1+adders, "gc or add", func(i int) []string {
		return []string{"ROOT=" + n.root, "LIVE=" + live, fmt.Sprintf("NUMBER=%d", i)}
	}) {
		if m.Err != nil {
			t.Errorf("process %d: %v: %s%s", i, m.Err, m.Stdout, m.Stderr)
		}
		if i == 0 {
			t.Logf("gc: %s", m.Stderr)
		}
	}
	out, errs := n.run(t, exitDone, "list", "--no-headers", "--state", "ok")
	if got := strings.Count(out, "\n"); got != len(containers) {
		t.Errorf("whole endpoints: got %d, want %d\n%s", got, len(containers), errs)
	}
}

// gcOrAdd is one of the processes: the first is gc, the others add again what is
// lost, each its own.
func gcOrAdd(stdout io.Writer) error {
	testns.Await()
	number, err := strconv.Atoi(os.Getenv("NUMBER"))
	if err != nil {
		return err
	}
	root := os.Getenv("ROOT")
	if number == 0 {
		code := run(context.Background(), []string{
			"gc", "--yes", "--older-than", "0s", "--root", root, "--live-from", os.Getenv("LIVE"),
		}, stdout, os.Stderr)
		if code != exitDone {
			return fmt.Errorf("got exit code %d, want %d", code, exitDone)
		}
		return nil
	}
	for i := range lostOnes {
		err = errors.Join(err, addAgain(root, fmt.Sprintf("lost-%d", (number-1)*lostOnes+i)))
	}
	return err
}

func addAgain(root, container string) error {
	_, err := testadd.Add(context.Background(), root, bpffs.Attachment{Network: "pods", ContainerID: container, IfName: "eth0"},
		bpffs.Details{NetNS: "/proc/self/ns/net"}, policy())
	return err
}
