package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// A change is what is done to one guard in a function. It names the guard by what
// it calls or mentions, so that its lines may be written anew.
type change struct {
	function string // its name, with its type and a dot in front where that is needed
	kind     kind
	names    []string
	last     bool   // of several parts the last one is meant; else there must be one
	with     string // what replaces the part; $0 is the part itself
	before   string // if not empty, the part goes before the statement that calls this
}

// A part of a function is a piece of its text.
type part struct {
	kind  kind
	node  ast.Node
	names []string // that it mentions
}

// A kind is what a part is.
type kind string

const (
	condition  kind = "condition"
	call       kind = "call"
	identifier kind = "identifier"
	statement  kind = "statement"
)

// never makes the condition that mentions the names false.
func never(function string, names ...string) change {
	return change{function: function, kind: condition, names: names, with: "false && ($0)"}
}

// always makes the condition that mentions the names true.
func always(function string, names ...string) change {
	return change{function: function, kind: condition, names: names, with: "true || ($0)"}
}

// instead replaces the call of a function by an expression.
func instead(function, called, with string) change {
	return change{function: function, kind: call, names: []string{called}, with: with}
}

// renamed replaces an identifier by an expression, wherever it is.
func renamed(function, name, with string) change {
	return change{function: function, kind: identifier, names: []string{name}, with: with}
}

// drop takes the statement out that calls the function.
func drop(function, called string) change {
	return change{function: function, kind: statement, names: []string{called}}
}

// move puts the statement that calls a function before the one that calls another.
func move(function, called, before string) change {
	return change{function: function, kind: statement, names: []string{called}, before: before}
}

// theLast says that of several parts the last one is meant.
func (c change) theLast() change {
	c.last = true
	return c
}

// parts returns the parts of that kind: the conditions of if and the cases of a
// switch, calls, identifiers, or the statements of the body. A condition also
// mentions what the statement before it calls, a call only what it calls.
func (k kind) parts(f *ast.FuncDecl) (parts []part) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			parts = append(parts, part{condition, n.Cond, append(mentioned(n.Cond), called(n.Init)...)})
		case *ast.CaseClause:
			for _, e := range n.List {
				parts = append(parts, part{condition, e, mentioned(e)})
			}
		case *ast.CallExpr:
			parts = append(parts, part{call, n, []string{callee(n), types.ExprString(n.Fun)}})
		case *ast.Ident:
			parts = append(parts, part{identifier, n, []string{n.Name}})
		}
		return true
	})
	for _, s := range f.Body.List {
		parts = append(parts, part{statement, s, called(s)})
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.kind != k })
}

// mentioned returns the names and literals in a piece of text.
func mentioned(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			names = append(names, n.Name)
		case *ast.BasicLit:
			names = append(names, n.Value)
		}
		return true
	})
	return names
}

// called returns the names of the functions that are called in n, which may be nil,
// alone and with what is in front of them.
func called(n ast.Node) (names []string) {
	if n == nil {
		return nil
	}
	ast.Inspect(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			names = append(names, callee(c), types.ExprString(c.Fun))
		}
		return true
	})
	return names
}

func callee(c *ast.CallExpr) string {
	switch f := ast.Unparen(c.Fun).(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// named returns the name of a function, with its type in front if it is a method.
func named(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// span is where a piece of text is, in bytes.
func span(fset *token.FileSet, n ast.Node) (from, to int) {
	return fset.Position(n.Pos()).Offset, fset.Position(n.End()).Offset
}
