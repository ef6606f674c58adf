// Command mutants shows that the tests hold what the plugin's safety rests on:
// it takes one guard after the other out of a copy of the sources and demands
// that a test fails then. It needs root, like the tests.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

func main() {
	only := flag.String("run", "", "only the mutants whose names match the `regexp`")
	source := flag.String("source", "..", "the `directory` of the sources")
	trees := flag.Int("trees", 2, "how many copies of the sources are tested at once")
	flag.Parse()
	if err := run(os.Stdout, *source, *only, *trees); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tests all mutants that match and prints a table. The error says which
// survived, or that the tests fail without any.
func run(out io.Writer, source, only string, trees int) (err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var chosen []mutant
	for _, m := range mutants() {
		if match.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant matches %q", only)
	}
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	start := time.Now()
	forest, err := plant(source, tmp, trees)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d guards, each taken out of a copy of the sources; first the copy as it is …\n", len(chosen))
	if err := healthy(forest[0], chosen); err != nil {
		return err
	}
	err = report(out, testAll(forest, chosen))
	fmt.Fprintf(out, "%.0f s\n", time.Since(start).Seconds())
	return err
}
