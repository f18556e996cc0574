package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// comment is the prose of a declaration and its "+name=value" markers.
type comment struct {
	text  string
	marks map[string]string
	keys  []string
}

// source holds what only source files know: comments, and the constants of enumerated types.
type source struct {
	packages map[string]*pack
}

type pack struct {
	types  map[string]comment
	fields map[string]comment // "Type.Field"
	values map[string][]string
}

func newSource() *source { return &source{packages: map[string]*pack{}} }

func (s *source) typeDoc(t reflect.Type) comment { return s.of(t).types[t.Name()] }

func (s *source) fieldDoc(t reflect.Type, field string) comment {
	return s.of(t).fields[t.Name()+"."+field]
}

func (s *source) enum(t reflect.Type) []string {
	if t.PkgPath() == "" {
		return nil
	}
	if _, marked := s.typeDoc(t).marks["enum"]; !marked {
		return nil
	}
	values := s.of(t).values[t.Name()]
	sort.Strings(values)
	return values
}

func (s *source) of(t reflect.Type) *pack {
	path := t.PkgPath()
	if found := s.packages[path]; found != nil {
		return found
	}
	out := &pack{types: map[string]comment{}, fields: map[string]comment{}, values: map[string][]string{}}
	s.packages[path] = out
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", path).Output()
	check(err)
	noTests := func(info fs.FileInfo) bool { return !strings.HasSuffix(info.Name(), "_test.go") }
	parsed, err := parser.ParseDir(token.NewFileSet(), strings.TrimSpace(string(dir)), noTests, parser.ParseComments)
	check(err)
	for _, each := range parsed {
		for _, file := range each.Files {
			for _, declaration := range file.Decls {
				if general, ok := declaration.(*ast.GenDecl); ok {
					out.read(general)
				}
			}
		}
	}
	return out
}

func (p *pack) read(declaration *ast.GenDecl) {
	for _, spec := range declaration.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = declaration.Doc
			}
			p.types[spec.Name.Name] = read(doc)
			if shape, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range shape.Fields.List {
					for _, name := range field.Names {
						p.fields[spec.Name.Name+"."+name.Name] = read(field.Doc)
					}
				}
			}
		case *ast.ValueSpec:
			typed, ok := spec.Type.(*ast.Ident)
			if !ok || declaration.Tok != token.CONST {
				continue
			}
			for _, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, err := strconv.Unquote(literal.Value)
					check(err)
					p.values[typed.Name] = append(p.values[typed.Name], text)
				}
			}
		}
	}
}

// read parts prose from markers; what follows a line "---" is for the maintainers of the type, not for its users.
func read(group *ast.CommentGroup) comment {
	out := comment{marks: map[string]string{}}
	if group == nil {
		return out
	}
	var lines []string
	done := false
	for _, line := range strings.Split(group.Text(), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "+"):
			name, value, _ := strings.Cut(line[1:], "=")
			if name == "listMapKey" {
				out.keys = append(out.keys, value)
			}
			out.marks[name] = value
		case line == "---":
			done = true
		case done || strings.HasPrefix(line, "TODO"):
		default:
			lines = append(lines, line)
		}
	}
	paragraphs := strings.Split(strings.TrimSpace(strings.Join(lines, "\n")), "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = strings.ReplaceAll(paragraph, "\n", " ")
	}
	out.text = strings.Join(paragraphs, "\n\n")
	return out
}
