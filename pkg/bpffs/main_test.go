package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	testns.Act(roles())
	os.Exit(testns.Main(m)) //nolint:forbidigo // the tests ran in another process, whose exit code this is
}

// The environment tells a process of a crowd where to do its part.
const (
	envRoot   = "BPFFS_TEST_ROOT"
	envNumber = "BPFFS_TEST_NUMBER"
)

// roles returns what processes of a crowd can do.
func roles() map[string]func(stdout io.Writer) error {
	return map[string]func(io.Writer) error{
		"allocate":     roleAllocate,
		"hold records": roleHoldRecords,
		"hold lock":    roleHoldLock,
		"mount":        roleMount,
		"mount poorly": roleMountUnprivileged,
		"find":         roleFind,
		"environ":      roleEnviron,
		"collect":      roleCollect,
		"inspect":      roleInspect,
		"come and go":  roleComeAndGo,
	}
}

// needVolumes skips the test where pods can have no volumes.
func needVolumes(tb testing.TB) {
	tb.Helper()
	if err := podfs.CheckKernel(); errors.Is(err, podfs.ErrUnfindable) {
		tb.Skip(err)
	}
}

// crowdSize returns how many processes try the same at once. With -short, on an emulated
// machine, fewer get the lock before the last has waited too long.
func crowdSize() int {
	if testing.Short() {
		return 16
	}
	return 64
}

// roleAllocate prints the ID of one attachment of its own.
func roleAllocate(stdout io.Writer) error {
	testns.Await()
	e, err := CreateEndpoints(context.Background(), os.Getenv(envRoot))
	if err != nil {
		return err
	}
	defer e.Close()
	id, _, err := e.Allocate(Attachment{"crowd", os.Getenv(envNumber), "eth0"}, "", "policy_")
	fmt.Fprint(stdout, id)
	return err
}

// roleHoldRecords keeps the records open until it is told or killed.
func roleHoldRecords(stdout io.Writer) error {
	e, err := CreateEndpoints(context.Background(), os.Getenv(envRoot))
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintln(stdout, "open")
	testns.Await()
	return nil
}

// roleHoldLock keeps the root locked, as a process that is mounting does.
func roleHoldLock(stdout io.Writer) error {
	_, unlock, err := flock.Dir(context.Background(), os.Getenv(envRoot))
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Fprintln(stdout, "locked")
	testns.Await()
	return nil
}

// roleMount mounts and prints what came of it.
func roleMount(stdout io.Writer) error {
	testns.Await()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := Mount(ctx, Roots{Root: os.Getenv(envRoot)})
	fmt.Fprintf(stdout, "%s %v", m.Path, m.New)
	return err
}

// roleMountUnprivileged prints both answers that a user without rights gets.
func roleMountUnprivileged(stdout io.Writer) error {
	if err := syscall.Setuid(stranger); err != nil {
		return err
	}
	r := Roots{Root: os.Getenv(envRoot)}
	_, err := CheckMount(r)
	fmt.Fprintln(stdout, err)
	_, err = Mount(context.Background(), r)
	fmt.Fprintln(stdout, err)
	return nil
}

// roleFind prints what Find finds with the environment of the process.
func roleFind(stdout io.Writer) error {
	root, err := FindRoot()
	fmt.Fprint(stdout, root)
	return err
}

// roleEnviron prints the environment for the children of this process.
func roleEnviron(stdout io.Writer) error {
	dir, err := NewMapDir(os.Getenv(envRoot), "")
	fmt.Fprint(stdout, strings.Join(dir.Environ(), "\n"))
	return err
}
