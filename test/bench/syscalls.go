package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// calls are how often a process made each system call, by the numbers of them.
type calls struct {
	what   string
	counts map[uint64]int
}

// measureCalls counts the system calls of a pod's verbs.
func (l *lab) measureCalls() error {
	if err := l.show(l.sparse); err != nil {
		return err
	}
	empty, err := l.call("empty", "ADD", "none", nil).count()
	if err != nil {
		return err
	}
	p8, c4 := l.newPod(resolved8), l.newPod(created4)
	for _, c := range []struct {
		what string
		command
	}{
		{"skelparse, ADD", p8.call("skelparse", "ADD")},
		{"ADD, 8 maps resolved", p8.call("bpffs", "ADD")},
		{"DEL, 8 maps resolved", p8.call("bpffs", "DEL")},
		{"ADD, 4 maps created", c4.call("bpffs", "ADD")},
		{"DEL, 4 maps created", c4.call("bpffs", "DEL")},
	} {
		counts, err := c.count()
		if err != nil {
			return err
		}
		for nr, n := range empty {
			counts[nr] = max(0, counts[nr]-n)
		}
		l.calls = append(l.calls, calls{c.what, counts})
	}
	return nil
}

// count runs the process and counts its system calls, without those that the Go
// runtime makes from other threads.
func (c command) count() (map[uint64]int, error) {
	runtime.LockOSThread() // a process that is traced belongs to a thread
	defer runtime.UnlockOSThread()
	in, err := newPipe()
	if err != nil {
		return nil, err
	}
	defer in.close()
	out, err := newPipe()
	if err != nil {
		return nil, err
	}
	defer out.close()
	if _, err := in.w.Write(c.stdin); err != nil {
		return nil, err
	}
	in.w.Close()
	p, err := trace.Start(c.argv, c.env, [3]*os.File{in.r, out.w, out.w})
	if err != nil {
		return nil, err
	}
	counts := make(map[uint64]int)
	_, err = p.RunTo(1, func(nr uint64) bool {
		if trace.Any(nr) {
			counts[nr]++
		}
		return false
	}, nil)
	if err == nil && p.Status.ExitStatus() != 0 {
		err = fmt.Errorf("%v, traced: exit status %d", c.argv, p.Status.ExitStatus())
	}
	return counts, err
}

// print lists the calls, the most frequent first.
func (c calls) print(w io.Writer) {
	numbers := slices.SortedFunc(maps.Keys(c.counts), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(c.counts[b], c.counts[a]), cmp.Compare(a, b))
	})
	var list []string
	sum := 0
	for _, nr := range numbers {
		if n := c.counts[nr]; n > 0 {
			sum += n
			list = append(list, fmt.Sprintf("%d %s", n, trace.Name(nr)))
		}
	}
	fmt.Fprintf(w, "%s: %d system calls beyond the empty program: %s\n", c.what, sum, strings.Join(list, ", "))
}
