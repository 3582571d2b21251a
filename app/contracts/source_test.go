package contracts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
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
