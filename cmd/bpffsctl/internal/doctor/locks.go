package doctor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A holder is a process that has a lock; zero if there is none.
type holder struct {
	pid  int
	name string
}

// String returns the holder as messages show it.
func (h holder) String() string {
	if h.pid == 0 {
		return "a process that /proc/locks does not show"
	}
	return fmt.Sprintf("process %d (%s)", h.pid, h.name)
}

// holderOf returns who has a lock on the file or directory.
func holderOf(path string) holder {
	file, err := inodeOf(path)
	locks, lerr := os.ReadFile("/proc/locks")
	pid := findHolder(string(locks), file)
	if err != nil || lerr != nil || pid == 0 {
		return holder{}
	}
	return holder{pid, nameOfProcess(pid)}
}

func nameOfProcess(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(name))
}

// findHolder looks up a file in what /proc/locks says. Those who wait for a lock
// have an arrow before it, so that their columns are others (proc(5)).
func findHolder(locks, file string) (pid int) {
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[5] != file {
			continue
		}
		if _, err := fmt.Sscan(fields[4], &pid); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// lastingHolder returns who has a lock on the path now and still has it later.
func lastingHolder(path string, later time.Duration) holder {
	before := holderOf(path)
	if before.pid == 0 {
		return holder{}
	}
	time.Sleep(later)
	if after := holderOf(path); after != before {
		return holder{}
	}
	return before
}

func decideLock(s site) []Finding {
	switch {
	case s.rootErr != nil:
		return notLooked(s.Path, "root")
	case s.locker.pid != 0:
		return fail(s.Path, fmt.Sprintf("%v keeps the directory locked: no bpffs can be mounted on it", s.locker), endHolder(s.locker))
	case errors.Is(s.seenErr, bpffs.ErrLocked):
		return fail(s.seen.Records, fmt.Sprintf("%v keeps the records locked: every ADD and DEL waits, and fails after %v", s.holder, bpffs.LockTimeout),
			endHolder(s.holder))
	}
	return pass(s.where(), "no process keeps it locked")
}

func endHolder(h holder) string {
	if h.pid == 0 {
		return "grep FLOCK /proc/locks, on the host"
	}
	return fmt.Sprintf("see what it does: ps -fp %d; if it hangs: kill %d", h.pid, h.pid)
}

// where returns the records, or before there are any the root.
func (s site) where() string {
	if s.mounted {
		return s.seen.Records
	}
	return s.Path
}
