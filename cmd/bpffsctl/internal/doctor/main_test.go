package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(stdout io.Writer) error{
		"hold records": holdRecords,
		"hold lock":    holdLock,
		"doctor":       runElsewhere,
		"runtime":      beRuntime,
	})
	os.Exit(withCommands(func() int { return testns.Main(m) }))
}

// built is the version of the commands that the tests type.
const built = "v1.2.3"

// withCommands builds bpffsctl and the plugin, so that fixes can be typed as they
// are printed, and calls run with them in the path.
func withCommands(run func() int) int {
	if testns.Inside() {
		return run()
	}
	dir, err := os.MkdirTemp("", "doctor")
	if err == nil {
		err = errors.Join(build("../..", ".", filepath.Join(dir, "bpffsctl"), built),
			build("../../../..", "./plugins/bpffs", filepath.Join(dir, "bpffs"), built),
			os.Setenv("PATH", dir+":"+os.Getenv("PATH")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return run()
}

// checkNames returns the names of all checks.
func checkNames() (all []string) {
	for _, c := range checks() {
		all = append(all, c.name)
	}
	return all
}

// build builds a package of a module as a version.
func build(module, pkg, to, version string) error {
	cmd := exec.Command("go", "build", "-C", module, "-buildvcs=false", "-ldflags", "-X main.buildVersion="+version, "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return nil
}

// The environment tells other processes of a test where to do their part.
const (
	envPath   = "BPFFS_TEST_PATH"
	envSocket = "BPFFS_TEST_SOCKET"
)

// holdRecords keeps the records below a root open until it is killed.
func holdRecords(stdout io.Writer) error {
	e, err := bpffs.CreateEndpoints(context.Background(), os.Getenv(envPath))
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintln(stdout, "open")
	testns.Await()
	return nil
}

// holdLock keeps a directory locked until it is killed.
func holdLock(stdout io.Writer) error {
	f, err := os.Open(os.Getenv(envPath))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "locked")
	testns.Await()
	return nil
}
