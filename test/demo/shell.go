package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A shell runs commands and shows them. After the first surprise it does nothing
// more; err is then what it was.
type shell struct {
	out   io.Writer
	env   []string
	err   error
	found []string // what the groups of the last run's first pattern matched
	runs  int
}

// say prints lines of explanation.
func (s *shell) say(lines ...string) {
	if s.err == nil {
		fmt.Fprintf(s.out, "\n# %s\n", strings.Join(lines, "\n# "))
	}
}

// do calls f, a step that no command stands for.
func (s *shell) do(f func() error) {
	if s.err == nil {
		s.err = f()
	}
}

// pod makes the network namespace of a pod.
func (s *shell) pod(name string) *node.Pod {
	p := &node.Pod{}
	s.do(func() (err error) {
		p, err = node.NewPod(name)
		return err
	})
	return p
}

// run shows and runs a command. It must succeed and print something that each of
// the regular expressions matches, or nothing where there are none.
func (s *shell) run(command string, patterns ...string) {
	if s.err != nil {
		return
	}
	fmt.Fprintf(s.out, "$ %s\n", command)
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = s.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	if text != "" {
		fmt.Fprintf(s.out, "  %s\n", strings.ReplaceAll(text, "\n", "\n  "))
	}
	if err != nil {
		s.err = fmt.Errorf("%s: %w", command, err)
		return
	}
	s.runs++
	s.err = s.expect(command, text, patterns)
}

func (s *shell) expect(command, text string, patterns []string) error {
	if len(patterns) == 0 && text != "" {
		return fmt.Errorf("%s: got %q, want nothing", command, text)
	}
	for i, p := range patterns {
		match := regexp.MustCompile(p).FindStringSubmatch(text)
		if match == nil {
			return fmt.Errorf("%s: got %q, want what matches %s", command, text, p)
		}
		if i == 0 {
			s.found = match[1:]
		}
	}
	return nil
}
