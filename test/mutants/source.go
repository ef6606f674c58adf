package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A source is the package of a guard.
type source struct {
	dir   string
	fset  *token.FileSet
	texts map[string][]byte
	files map[string]*ast.File
}

// An edit replaces a piece of a file.
type edit struct {
	file     string
	from, to int
	with     string
}

func newSource(dir string) *source {
	return &source{dir, token.NewFileSet(), make(map[string][]byte), make(map[string]*ast.File)}
}

// readSource parses the Go files in dir, but for tests.
func readSource(dir string) (*source, error) {
	s := newSource(dir)
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err == nil {
			err = s.add(name, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *source) add(name string, text []byte) (err error) {
	s.texts[name] = text
	s.files[name], err = parser.ParseFile(s.fset, name, text, parser.SkipObjectResolution)
	return err
}

// changed returns the files that the changes change, as they are then.
func (s *source) changed(changes []change) (map[string][]byte, error) {
	var all []edit
	for _, c := range changes {
		edits, err := s.edits(c)
		if err != nil {
			return nil, err
		}
		all = append(all, edits...)
	}
	// Of two edits that overlap the larger one counts.
	slices.SortStableFunc(all, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	out, done := make(map[string][]byte), make(map[string]int)
	for _, e := range all {
		if e.from < done[e.file] {
			continue
		}
		out[e.file] = slices.Concat(out[e.file], s.texts[e.file][done[e.file]:e.from], []byte(e.with))
		done[e.file] = e.to
	}
	for name, at := range done {
		out[name] = append(out[name], s.texts[name][at:]...)
	}
	return out, nil
}

// edits returns what the change does to the text.
func (s *source) edits(c change) (edits []edit, err error) {
	file, f, err := s.function(c.function)
	if err != nil {
		return nil, err
	}
	parts, err := s.parts(f, c)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		from, to := span(s.fset, p.node)
		text := string(s.texts[file][from:to])
		edits = append(edits, edit{file, from, to, strings.ReplaceAll(c.with, "$0", text)})
		if c.before != "" {
			target, err := s.parts(f, change{function: c.function, kind: c.kind, names: []string{c.before}})
			if err != nil {
				return nil, err
			}
			at, _ := span(s.fset, target[0].node)
			edits = append(edits, edit{file, at, at, text + "\n"})
		}
	}
	return edits, nil
}

// function returns the function of that name, and its file.
func (s *source) function(name string) (file string, f *ast.FuncDecl, err error) {
	var found []string
	for path, parsed := range s.files {
		for _, d := range parsed.Decls {
			d, ok := d.(*ast.FuncDecl)
			if ok && (d.Name.Name == name || named(d) == name) {
				file, f, found = path, d, append(found, named(d))
			}
		}
	}
	if len(found) != 1 {
		return "", nil, fmt.Errorf("functions in %s with the name %s: got %q, want one", s.dir, name, found)
	}
	return file, f, nil
}

// parts returns what the change means of the function.
func (s *source) parts(f *ast.FuncDecl, c change) ([]part, error) {
	all := c.kind.parts(f)
	found := slices.DeleteFunc(slices.Clone(all), func(p part) bool {
		return slices.ContainsFunc(c.names, func(name string) bool { return !slices.Contains(p.names, name) })
	})
	if c.last && len(found) > 1 {
		found = found[len(found)-1:]
	}
	if len(found) != 1 && (c.kind != identifier || len(found) == 0) {
		var there []string
		for _, p := range all {
			there = append(there, strings.Join(p.names, " "))
		}
		return nil, fmt.Errorf("%ss in %s of %s that mention %q: got %d, want one; each of its %ss mentions:\n\t%s",
			c.kind, c.function, s.dir, c.names, len(found), c.kind, strings.Join(there, "\n\t"))
	}
	return found, nil
}
