package contracts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	top    = "../.." // of the source
	module = "videotutorials/"
)

// files parses the source, without tests, by package from the top ("main" for the
// program itself).
func files(t *testing.T) map[string][]*ast.File {
	t.Helper()
	set := token.NewFileSet()
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && name != top && (base == "node_modules" || base == "testdata" || strings.HasPrefix(base, ".")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") {
			return nil
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, filepath.Dir(name))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if pkg == "." {
			pkg = "main"
		}
		packages[pkg] = append(packages[pkg], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// goType is a type of the source.
type goType struct{ pkg, name string }

// messageTypes returns every type that has a method MessageType, with what it returns.
func messageTypes(packages map[string][]*ast.File) map[goType]string {
	types := map[goType]string{}
	for pkg, files := range packages {
		for _, file := range files {
			for _, decl := range file.Decls {
				method, ok := decl.(*ast.FuncDecl)
				if !ok || method.Name.Name != "MessageType" || method.Recv == nil {
					continue
				}
				receiver, ok := method.Recv.List[0].Type.(*ast.Ident)
				if !ok {
					continue
				}
				name := ""
				if result, ok := method.Body.List[0].(*ast.ReturnStmt); ok {
					if literal, ok := result.Results[0].(*ast.BasicLit); ok {
						name = strings.Trim(literal.Value, `"`)
					}
				}
				types[goType{pkg, receiver.Name}] = name
			}
		}
	}
	return types
}

func isMessagePackage(pkg string) bool {
	ok, _ := path.Match("components/*/*msg", pkg)
	return ok || pkg == "messagestore"
}

// uses are the packages that write and that handle each type, sorted.
type uses struct{ writers, handlers map[goType][]string }

// usesOf finds them: a package writes a type if it makes a value of it, and handles it
// if it has messagestore.On of it.
func usesOf(packages map[string][]*ast.File, types map[goType]string) uses {
	found := uses{map[goType][]string{}, map[goType][]string{}}
	for pkg, files := range packages {
		if strings.HasSuffix(pkg, "test") || strings.HasSuffix(pkg, "msg") || pkg == "app/contracts" {
			continue
		}
		s := source{pkg: pkg, files: files, types: types}
		for t := range s.made() {
			found.writers[t] = append(found.writers[t], pkg)
		}
		for t := range s.handled() {
			found.handlers[t] = append(found.handlers[t], pkg)
		}
	}
	for _, m := range []map[goType][]string{found.writers, found.handlers} {
		for t := range m {
			slices.Sort(m[t])
		}
	}
	return found
}

// source is a package in which types of messages are looked for.
type source struct {
	pkg   string
	files []*ast.File
	types map[goType]string
}

// message returns the type of a message that an expression names.
func (s source) message(file *ast.File, e ast.Expr) (goType, bool) {
	var t goType
	switch e := e.(type) {
	case *ast.Ident:
		t = goType{s.pkg, e.Name}
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			t = goType{imported(file, x.Name), e.Sel.Name}
		}
	}
	_, ok := s.types[t]
	return t, ok
}

// imported returns the package of ours that a file calls by a name.
func imported(file *ast.File, name string) string {
	for _, spec := range file.Imports {
		pkg, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if ours && (spec.Name == nil && path.Base(pkg) == name || spec.Name != nil && spec.Name.Name == name) {
			return pkg
		}
	}
	return ""
}

// made returns the types of which the package makes values, but those that it only asks
// for their names.
func (s source) made() map[goType]bool {
	found := map[goType]bool{}
	for _, file := range s.files {
		names := map[ast.Node]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if n.Sel.Name == "MessageType" {
					x := n.X
					if p, ok := x.(*ast.ParenExpr); ok {
						x = p.X
					}
					names[x] = true
				}
			case *ast.FuncDecl: // the store's own list is no writer
				return s.pkg != "messagestore" || n.Name.Name != "OwnMessages"
			case *ast.CompositeLit: // of a message there is no empty one: it has an id
				if t, ok := s.message(file, n.Type); ok && !names[n] && (len(n.Elts) > 0 || s.pkg == "messagestore") {
					found[t] = true
				}
			case *ast.CallExpr: // a conversion
				if t, ok := s.message(file, n.Fun); ok {
					found[t] = true
				}
			}
			return true
		})
	}
	return found
}

// handled returns the types that the package has messagestore.On of. What is given to
// On is a function literal, or a method or function of the package; or On stands in a
// function with a type parameter, and the types are in what that is called with.
func (s source) handled() map[goType]bool {
	found := map[goType]bool{}
	methods := map[string]map[goType]bool{}
	generic := map[string]bool{} // functions that have On of their type parameter
	for _, file := range s.files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && !isApplier(f) {
				methods[f.Name.Name] = merge(methods[f.Name.Name], s.inside(file, f.Type))
			}
		}
	}
	for _, file := range s.files {
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isOn(call.Fun) {
					return true
				}
				for _, arg := range call.Args {
					types := s.inside(file, arg)
					if inner, ok := arg.(*ast.CallExpr); ok {
						arg = inner.Fun
					}
					switch arg := arg.(type) {
					case *ast.SelectorExpr:
						types = methods[arg.Sel.Name]
					case *ast.Ident:
						types = methods[arg.Name]
					}
					if f, ok := decl.(*ast.FuncDecl); ok && len(types) == 0 && f.Type.TypeParams != nil {
						generic[f.Name.Name] = true
					}
					merge(found, types)
				}
				return true
			})
		}
	}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && generic[name.Name] {
					for _, arg := range call.Args {
						if f, ok := arg.(*ast.FuncLit); ok {
							merge(found, s.inside(file, f.Type))
						}
					}
				}
			}
			return true
		})
	}
	return found
}

// isApplier reports whether a function changes an entity: those take no context.
func isApplier(f *ast.FuncDecl) bool {
	if f.Type.Results != nil {
		return false
	}
	return f.Recv != nil
}

func isOn(fun ast.Expr) bool {
	on, ok := fun.(*ast.SelectorExpr)
	if !ok || on.Sel.Name != "On" {
		return false
	}
	x, ok := on.X.(*ast.Ident)
	return ok && x.Name == "messagestore"
}

// inside returns the types of messages that are named in a function's type.
func (s source) inside(file *ast.File, n ast.Node) map[goType]bool {
	if f, ok := n.(*ast.FuncLit); ok {
		n = f.Type
	}
	found := map[goType]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if t, ok := s.message(file, e); ok {
				found[t] = true
			}
		}
		return true
	})
	return found
}

func merge(to, from map[goType]bool) map[goType]bool {
	if to == nil {
		to = map[goType]bool{}
	}
	maps.Copy(to, from)
	return to
}

// comments returns what the source says of each type and of its fields, by
// package, type and the field's Go name ("" for the type itself).
func comments(packages map[string][]*ast.File) map[string]string {
	found := map[string]string{}
	for pkg, files := range packages {
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				decl, ok := n.(*ast.GenDecl)
				if !ok {
					return true
				}
				for _, spec := range decl.Specs {
					t, ok := spec.(*ast.TypeSpec)
					if !ok {
						continue
					}
					doc := t.Doc
					if doc == nil {
						doc = decl.Doc
					}
					found[pkg+"."+t.Name.Name+"."] = oneLine(doc)
					body, ok := t.Type.(*ast.StructType)
					if !ok {
						continue
					}
					group := ""
					for _, f := range body.Fields.List {
						text := oneLine(f.Doc)
						for _, name := range f.Names {
							if text == "" && strings.Contains(group, name.Name) { // "Width and Height are …"
								text = group
							}
							found[pkg+"."+t.Name.Name+"."+name.Name] = withoutName(text, name.Name)
						}
						group = text
					}
				}
				return true
			})
		}
	}
	return found
}

// withoutName leaves out of a comment what Go's begin with, which is no word of readers
// of JSON: "UserID is the UUID of …".
func withoutName(text, name string) string {
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(text, name+verb); ok {
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	return text
}

var links = regexp.MustCompile(`\[([^\]]+)\](\([^)]*\))?`)

// oneLine is a comment without line ends and links.
func oneLine(doc *ast.CommentGroup) string {
	return links.ReplaceAllString(strings.Join(strings.Fields(doc.Text()), " "), "$1")
}

// prose is what a contract.md says of a type.
type prose struct {
	text    string
	example json.RawMessage
	writers []string // packages; "main" for commands and the program
}

var (
	section   = regexp.MustCompile(`(?ms)^## (\w+)$(.*?)(?:^#+ |\z)`)
	fenced    = regexp.MustCompile("(?s)```json\n(.*?)```")
	writtenBy = regexp.MustCompile(`(?m)^Written by: ([^\n]*?)\.(?: Read by:|$)`)
	inTicks   = regexp.MustCompile("the (?:`[a-z ]+` command|program)|`([a-z/]+)`")
)

// proseOf reads the contract beside each package of messages, by package and type.
func proseOf(t *testing.T, packages map[string][]*ast.File) map[string]prose {
	t.Helper()
	all := map[string]prose{}
	for pkg := range packages {
		if !isMessagePackage(pkg) {
			continue
		}
		dir := path.Dir(pkg)
		if pkg == "messagestore" {
			dir = pkg
		}
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(dir), "contract.md"))
		if err != nil {
			t.Fatal(err)
		}
		for rest := text; ; {
			found := section.FindSubmatchIndex(rest)
			if found == nil {
				break
			}
			name, body := string(rest[found[2]:found[3]]), rest[found[4]:found[5]]
			rest = rest[found[5]:]
			var p prose
			if at := fenced.FindSubmatchIndex(body); at != nil {
				p.text = strings.TrimSpace(string(body[:at[0]]))
				p.text = strings.TrimPrefix(strings.TrimPrefix(p.text, "Command. "), "Event. ")
				p.text = links.ReplaceAllString(strings.Join(strings.Fields(p.text), " "), "$1")
				var compact bytes.Buffer
				if err := json.Compact(&compact, body[at[2]:at[3]]); err != nil {
					t.Fatalf("%s of %s: %v", name, pkg, err)
				}
				p.example = compact.Bytes()
			}
			if by := writtenBy.FindSubmatch(body); by != nil {
				for _, who := range inTicks.FindAllSubmatch(by[1], -1) {
					p.writers = append(p.writers, cmp.Or(string(who[1]), "main"))
				}
				slices.Sort(p.writers)
				p.writers = slices.Compact(p.writers)
			}
			all[pkg+"."+name] = p
		}
	}
	return all
}
