// Package kernels runs the tests on other kernels and architectures, in an emulator. What it has
// beside its tests is what they agree on with the init of the emulated machine.
package kernels

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Where things are in the emulated machine.
const (
	PlanFile  = "/plan.json"
	ModuleDir = "/modules"
	TreeDir   = "/tree" // the source tree, as far as tests need it
)

// A Plan is what the emulated machine does between start and power-off.
type Plan struct {
	Modules []string // files in ModuleDir, in the order of loading
	Port    string   // the device that takes what the tests print; the console is the kernel's
	Suites  []Suite
}

// A Suite is a compiled test package.
type Suite struct {
	Name string
	Dir  string // its directory below the tree, where it is started
	Args []string
}

// Command returns the command that runs the suite in the source tree tree.
func (s Suite) Command(tree string, env []string) *exec.Cmd {
	dir := filepath.Join(tree, s.Dir)
	cmd := exec.Command(filepath.Join(dir, s.Args[0]), s.Args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	return cmd
}

// A Run is what came of a suite.
type Run struct {
	Name   string
	Output []byte
	Result string // "ok", or what went wrong
	Took   time.Duration
}

const mark = "\n@@@ "

// Start writes the mark that precedes the output of a suite.
func Start(w io.Writer, name string) error {
	_, err := fmt.Fprintf(w, "%sstart %s\n", mark, name)
	return err
}

// End writes the mark that follows the output of a suite.
func End(w io.Writer, result string, took time.Duration) error {
	_, err := fmt.Fprintf(w, "%send %d %s\n", mark, took.Milliseconds(), result)
	return err
}

// ParseRuns takes apart what an emulated machine has written to its port. A suite
// without an end, on a machine that crashed or took too long, has a result that
// says so.
func ParseRuns(text []byte) []Run {
	var runs []Run
	for i, part := range bytes.Split(text, []byte(mark)) {
		line, output, _ := strings.Cut(string(part), "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case i == 0:
		case verb == "start":
			runs = append(runs, Run{Name: rest, Output: []byte(output), Result: "it has no end"})
		case verb == "end" && len(runs) > 0:
			last := &runs[len(runs)-1]
			ms := int64(0)
			if _, err := fmt.Sscan(rest, &ms); err == nil {
				_, last.Result, _ = strings.Cut(rest, " ")
				last.Took = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return runs
}
