package kernels

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	repo = "../.."

	// namesEnv names the kernels, which install.sh has put into bin/kernels.
	namesEnv = "BPFFS_KERNELS"

	// machinesAtOnce is how many machines run side by side, each with two processors.
	machinesAtOnce = 2
)

// The tests of the library, of the plugin and with its callers pass on the kernels
// that install.sh brought. The last row of the table is this machine's.
func TestKernels(t *testing.T) {
	names := strings.Fields(os.Getenv(namesEnv))
	if len(names) == 0 {
		t.Skipf("boots the kernels in $%s, which names none: run \"make test-kernels\"", namesEnv)
	}
	kernels, err := kernelsOf(names)
	testns.Must(t, err)
	start := time.Now()
	roots := map[string]string{runtime.GOARCH: build(t, runtime.GOARCH)}
	for _, k := range kernels {
		if roots[k.arch] == "" {
			roots[k.arch] = build(t, k.arch)
		}
	}
	machines := runAll(t, kernels, roots)
	for _, m := range machines {
		t.Run(m.name, m.report)
	}
	fmt.Printf("%s%.0f s for all\n", table(machines), time.Since(start).Seconds())
}

// runAll runs the suites on all kernels and here, with the roots of their
// architectures.
func runAll(t *testing.T, kernels []kernel, roots map[string]string) []*machine {
	t.Helper()
	machines := make([]*machine, len(kernels)+1)
	next := make(chan int)
	var wg sync.WaitGroup
	for range machinesAtOnce {
		wg.Go(func() {
			for i := range next {
				if i == len(kernels) {
					machines[i] = onHost(t, roots[runtime.GOARCH])
				} else {
					machines[i] = emulate(t.Context(), kernels[i], roots[kernels[i].arch], t.TempDir())
				}
			}
		})
	}
	for i := range machines {
		next <- i
	}
	close(next)
	wg.Wait()
	return machines
}

// build compiles the tests and the init for an architecture, and returns what will
// be the root directory of its machines: the tree with the tests where their
// packages are.
func build(t *testing.T, arch string) string {
	t.Helper()
	bin := filepath.Join(repo, "bin")
	if arch != runtime.GOARCH {
		bin = filepath.Join(bin, "arch", arch) // as the Makefile has it
	}
	root := t.TempDir()
	tree := filepath.Join(root, TreeDir)
	for _, file := range []string{"bpffs", "bpffsctl", "cni"} {
		copyTo(t, filepath.Join(tree, "bin", file), filepath.Join(bin, file))
	}
	for _, file := range []string{"conf", "docs", "examples/pktcount/pktcount.conflist"} {
		copyTo(t, filepath.Join(tree, file), filepath.Join(repo, file))
	}
	for _, s := range suites("") {
		source, dir := filepath.Join(repo, s.Dir), filepath.Join(tree, s.Dir)
		run(t, arch, "go", "test", "-C", source, "-c", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(dir, "suite.test"))
		if _, err := os.Stat(filepath.Join(source, "testdata")); err == nil {
			copyTo(t, filepath.Join(dir, "testdata"), filepath.Join(source, "testdata"))
		}
	}
	run(t, arch, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, "init"), "./init")
	return root
}

// copyTo copies a file, or a directory with what links in it lead to.
func copyTo(t *testing.T, to, from string) {
	t.Helper()
	run(t, "", "mkdir", "-p", filepath.Dir(to))
	run(t, "", "cp", "-rL", from, to)
}

func run(t *testing.T, arch, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// onHost runs the suites here.
func onHost(t *testing.T, root string) *machine {
	t.Helper()
	m := &machine{name: "host", release: kernelRelease(t)}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, namesEnv+"=") })
	for _, s := range suites(m.name) {
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
