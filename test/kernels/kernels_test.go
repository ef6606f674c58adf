package kernels

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	repo = "../.."

	// dirEnv names the directory that install.sh filled.
	dirEnv = "BPFFS_KERNELS"
)

// leftOut returns the tests that "make test" runs, but this does not.
func leftOut() []struct{ tests, why string } {
	return []struct{ tests, why string }{
		{"^TestBadInput$", "no kernel changes what they test, with many processes"},
		{"^TestCrowd$", "in emulation its processes start later than the plugin waits; the library has crowds of its own"},
		{"^Test(Doctor)?Examples?$", "they compare the documents with what is printed, in which no kernel changes anything but sizes"},
		{"^TestPktcount", "its traffic needs protocols that the machine does not load; what it is chained after runs"},
		{"^TestNobodyWaitsForOthersWork$", "it works through thousands of endpoints six times, which takes an emulated machine half an hour"},
		{
			"^TestDelReadsNoMountTable$/another_file_system",
			"before statmount(2), Linux 6.8, only the table of mounts tells what another file system hides",
		},
		{"/_on_an_old_kernel$", "it imitates 6.1, which is here"},
	}
}

// suites returns what runs on every kernel.
func suites() []Suite {
	args := []string{"./suite.test", "-test.v=test2json", "-test.short", "-test.timeout=25m"}
	var skip []string
	for _, l := range leftOut() {
		skip = append(skip, l.tests)
	}
	all := append(slices.Clone(args), "-test.skip="+strings.Join(skip, "|"))
	return []Suite{
		{Name: "machine", Dir: "test/kernels", Args: append(slices.Clone(args), "-test.run=^TestMachine")},
		{Name: "mounts", Dir: "internal/mounts", Args: args},
		{Name: "token", Dir: "internal/token", Args: args},
		{Name: "volumes", Dir: "internal/podfs", Args: args},
		{Name: "pods", Dir: "test/pods", Args: args},
		{Name: "library", Dir: "pkg/bpffs", Args: all},
		{Name: "plugin", Dir: "plugins/bpffs", Args: args},
		{Name: "cnitool", Dir: "test/integration", Args: all},
	}
}

// The tests of the library, of the plugin and with its callers pass on the
// kernels that install.sh brought. The last row of the table is this machine's.
func TestKernels(t *testing.T) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skipf("boots the kernels in $%s, which is not set: run \"make test-kernels\"", dirEnv)
	}
	kernels, err := filepath.Glob(filepath.Join(dir, "*/vmlinuz"))
	if err != nil || len(kernels) == 0 {
		t.Fatalf("there are no kernels in %s: run install.sh (%v)", dir, err)
	}
	start := time.Now()
	root := build(t)
	machines := make([]*machine, len(kernels)+1)
	var wg sync.WaitGroup
	for i, kernel := range kernels {
		scratch := t.TempDir()
		wg.Go(func() { machines[i] = emulate(t.Context(), filepath.Dir(kernel), root, scratch) })
	}
	wg.Wait()
	machines[len(kernels)] = onHost(t, root)
	for _, m := range machines {
		t.Run(m.name, m.report)
	}
	fmt.Printf("%s%.0f s for all\n", table(machines), time.Since(start).Seconds())
}

// build compiles the tests and the init, and returns what will be the root
// directory of the machines: the tree with the tests where their packages are.
func build(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	tree := filepath.Join(root, TreeDir)
	for _, file := range []string{"bin/bpffs", "bin/bpffsctl", "bin/cni", "conf", "docs", "examples/pktcount/pktcount.conflist"} {
		run(t, "mkdir", "-p", filepath.Dir(filepath.Join(tree, file)))
		run(t, "cp", "-rL", filepath.Join(repo, file), filepath.Join(tree, file))
	}
	for _, s := range suites() {
		source, dir := filepath.Join(repo, s.Dir), filepath.Join(tree, s.Dir)
		run(t, "mkdir", "-p", dir)
		run(t, "go", "test", "-C", source, "-c", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(dir, "suite.test"))
		if _, err := os.Stat(filepath.Join(source, "testdata")); err == nil {
			run(t, "cp", "-r", filepath.Join(source, "testdata"), dir)
		}
	}
	run(t, "mkdir", "-p", filepath.Join(root, "bin"))
	run(t, "cp", "/bin/busybox", filepath.Join(root, "bin/sh")) // it does what it is called
	run(t, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, "init"), "./init")
	return root
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// onHost runs the suites here.
func onHost(t *testing.T, root string) *machine {
	t.Helper()
	m := &machine{name: "host"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, dirEnv+"=") })
	for _, s := range suites() {
		start := time.Now()
		out, err := s.Command(filepath.Join(root, TreeDir), env).CombinedOutput()
		r := Run{Name: s.Name, Output: out, Result: "ok", Took: time.Since(start)}
		if err != nil {
			r.Result = err.Error()
		}
		m.add(r)
	}
	return m
}
