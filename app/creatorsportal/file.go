package creatorsportal

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/webvtt"
)

const (
	// mostForm is how much of a form with a file is read, most of it for nothing: a browser
	// that cannot send its form to the end shows no answer. Somebody may have chosen the film.
	mostForm  = 16 << 20
	mostField = 1 << 10
	mostParts = 10
)

// given is what a form with a WebVTT file has brought.
type given struct {
	fields map[string]string
	file   []byte
	// problem is a code or a sentence; empty where nothing is wrong with the file.
	problem string
}

const givenKey = "given"

// withFile reads a form with a WebVTT file before the time for an answer begins, and leaves
// it to [givenFile].
func withFile(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, mostForm)
		parts, err := c.Request().MultipartReader()
		if err != nil {
			return echo.NewHTTPError(http.StatusUnsupportedMediaType)
		}
		form, err := read(parts)
		var tooMuch *http.MaxBytesError
		if err != nil && !errors.As(err, &tooMuch) { // of too much, what is wrong is known by now
			return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
		}
		c.Set(givenKey, form)
		return next(c)
	}
}

func givenFile(c echo.Context) given {
	form, _ := c.Get(givenKey).(given)
	return form
}

func read(parts *multipart.Reader) (given, error) {
	form := given{fields: map[string]string{}, problem: "no-file"}
	for range mostParts {
		part, err := parts.NextPart()
		if err == io.EOF {
			return form, nil
		}
		if err != nil {
			return form, err
		}
		if part.FormName() != "file" {
			text, err := io.ReadAll(io.LimitReader(part, mostField))
			if err != nil {
				return form, err
			}
			form.fields[part.FormName()] = string(text)
			continue
		}
		if part.FileName() == "" { // none was chosen
			continue
		}
		form.file, err = io.ReadAll(io.LimitReader(part, webvtt.MostBytes+1))
		if err != nil {
			return form, err
		}
		form.problem = ""
		if _, err := webvtt.Parse(form.file); err != nil {
			form.problem = err.Error()
		}
	}
	return form, errors.New("a form of too many parts")
}
