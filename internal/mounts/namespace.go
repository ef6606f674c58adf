package mounts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ownNamespace is the link to the mount namespace of this process, "mnt:[<number>]".
const ownNamespace = "/proc/self/ns/mnt"

func namespaceNumber(link string) string {
	return strings.TrimSuffix(strings.TrimPrefix(link, "mnt:["), "]")
}

// initialPIDs is the link to the process namespace from which all processes can be
// seen (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const initialPIDs = "pid:[4026531836]"

// checkNamespace reports that a mount that was attached in the mount namespace cannot
// be seen from this process: it is in another one. Where that is gone, all its mounts
// are.
func checkNamespace(number string) error {
	own, err := os.Readlink(ownNamespace)
	if err != nil {
		return fmt.Errorf("cannot tell whether it is still mounted in mount namespace %s: %w", number, err)
	}
	if namespaceNumber(own) == number {
		return nil
	}
	if pid := processIn(number); pid != "" {
		return fmt.Errorf("it was mounted in the mount namespace of process %s, not in this one: "+
			"type nsenter --target %s --mount before the command", pid, pid)
	}
	if pids, err := os.Readlink("/proc/self/ns/pid"); err != nil || pids != initialPIDs {
		return fmt.Errorf("it was mounted in another mount namespace, %s, and this process namespace does not show whether that is gone: "+
			"run the command on the host", number)
	}
	return nil
}

// processIn returns a process that is in the mount namespace, empty if none can be
// seen.
func processIn(number string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/mnt") // the pattern is right
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && namespaceNumber(ns) == number {
			return filepath.Base(filepath.Dir(filepath.Dir(link)))
		}
	}
	return ""
}
