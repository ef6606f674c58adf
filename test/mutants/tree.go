package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A tree is a copy of the sources that may be changed.
type tree string

// plant makes n copies, of what the tests need.
func plant(source, dir string, n int) ([]tree, error) {
	forest := make([]tree, n)
	for i := range forest {
		forest[i] = tree(filepath.Join(dir, fmt.Sprint(i)))
		for _, part := range []string{"pkg", "plugins", "internal", "test/internal", "test/reliability", "test/pods"} {
			err := os.CopyFS(filepath.Join(string(forest[i]), part), os.DirFS(filepath.Join(source, part)))
			if err != nil {
				return nil, err
			}
		}
		for _, name := range []string{"go.mod", "go.sum", "test/go.mod", "test/go.sum"} {
			text, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(string(forest[i]), name), text, 0o600); err != nil {
				return nil, err
			}
		}
	}
	return forest, nil
}

// mutate makes the changes of the mutant and returns what takes them back.
func (t tree) mutate(m mutant) (restore func() error, err error) {
	s, err := readSource(filepath.Join(string(t), m.dir))
	if err != nil {
		return nil, err
	}
	files, err := s.changed(m.changes)
	if err != nil {
		return nil, fmt.Errorf("mutant %q: %w", m.name, err)
	}
	restore = func() (err error) {
		for name := range files {
			err = errors.Join(err, os.WriteFile(name, s.texts[name], 0o600))
		}
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// build builds the plugin where its tests look for it.
func (t tree) build() error {
	out, err := t.command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "bin/bpffs", "./plugins/bpffs").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}

func (t tree) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = string(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "CI=true")
	return cmd
}

// test runs the tests of a suite and returns the names of those that fail.
func (t tree) test(s suite) (failed []string, output string, err error) {
	dir, pkg := s.dir()
	timeout := "30s"
	if dir != "." {
		timeout = "120s"
	}
	args := []string{"test", "-count=1", "-vet=off", "-failfast", "-run", s.run, "-timeout", timeout, pkg}
	if pkg == "./reliability" {
		args = append(args, "-duration=6s")
	}
	cmd := t.command("go", args...)
	cmd.Dir = filepath.Join(cmd.Dir, dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err == nil {
		return nil, out.String(), nil
	}
	failed = names(out.String())
	if len(failed) == 0 {
		return nil, out.String(), fmt.Errorf("%s: no test failed, but:\n%s", pkg, out.String())
	}
	return failed, out.String(), nil
}

// names returns the tests that failed, each only by its deepest name. One that
// hangs has failed too.
func names(output string) []string {
	var failed []string
	if _, rest, ok := strings.Cut(output, "\n\trunning tests:\n\t\t"); ok {
		name, _, _ := strings.Cut(rest, " ")
		return []string{name + " hangs"}
	}
	for line := range strings.Lines(output) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: ")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, " ")
		if n := len(failed); n > 0 && strings.HasPrefix(name, failed[n-1]+"/") {
			failed = failed[:n-1]
		}
		failed = append(failed, name)
	}
	return failed
}
