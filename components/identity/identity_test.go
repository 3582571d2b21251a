package identity

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
	"videotutorials/messagestore/messagestoretest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var (
	ada = messagestore.DeriveID("test", "ada")
	bob = messagestore.DeriveID("test", "bob")

	adaStream   = identitymsg.Category.Stream(ada)
	adaCommands = identitymsg.Category.CommandStream(ada)

	registered = identitymsg.Registered{UserID: ada, Email: "Ada@example.org", PasswordHash: "hash"}
	register   = identitymsg.Register{UserID: ada, Email: " Ada@example.org ", PasswordHash: "hash"}
)

// bench is a component over a store of its own.
type bench struct {
	*messagestoretest.Scenario
	*Component
	t   *testing.T
	ctx context.Context
	url string
}

func newBench(t *testing.T) bench {
	t.Helper()
	key, err := identitymsg.NewKey(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	return bench{
		Scenario:  messagestoretest.New(t, store),
		Component: New(store, Config{Key: key, BaseURL: "https://videos.example.org/", AppName: "Video Tutorials"}),
		t:         t, ctx: ctx, url: database.MessageStoreURL,
	}
}

// address returns the stream of an address.
func (b bench) address(email string) messagestore.Stream {
	b.t.Helper()
	normal, err := identitymsg.NormalAddress(email)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.config.Key.AddressStream(normal)
}

func (b bench) all(stream messagestore.Stream) (all []messagestore.Raw) {
	b.t.Helper()
	for m, err := range b.store.Read(b.ctx, stream, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func (b bench) write(stream messagestore.Stream, body messagestore.Body) messagestore.Raw {
	b.t.Helper()
	if _, err := b.store.Write(b.ctx, stream, body); err != nil {
		b.t.Fatal(err)
	}
	m, err := b.store.Last(b.ctx, stream, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// handle gives a message to handlers as a subscription does.
func (b bench) handle(m messagestore.Raw, handlers []messagestore.Handler) {
	b.t.Helper()
	err := messagestore.ErrWrongExpectedVersion
	for errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		err = messagestore.Handle(b.ctx, m, handlers...)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// later are the handlers of commands that come so much later.
func (b bench) later(by time.Duration) []messagestore.Handler {
	return []messagestore.Handler{
		shifted(by, b.requestConfirmation), shifted(by, b.requestPasswordReset), shifted(by, b.resetPassword), shifted(by, b.changeEmail),
	}
}

func shifted[T messagestore.Body](by time.Duration, handle func(context.Context, messagestore.Message[T]) error) messagestore.Handler {
	return messagestore.On(func(ctx context.Context, m messagestore.Message[T]) error {
		m.Time = m.Time.Add(by)
		return handle(ctx, m)
	})
}

type bodies = []messagestore.Body

func TestCommands(t *testing.T) {
	t.Parallel()
	var (
		confirm         = func(email string) messagestore.Body { return identitymsg.ConfirmEmail{UserID: ada, Email: email} }
		confirmed       = identitymsg.EmailConfirmed{UserID: ada, Email: "Ada@example.org"}
		confirmRejected = func(reason string) messagestore.Body {
			return identitymsg.EmailConfirmationRejected{UserID: ada, Reason: reason}
		}
		confirmAgain     = identitymsg.RequestConfirmation{UserID: ada}
		confirmRequested = identitymsg.ConfirmationRequested{UserID: ada, Email: "Ada@example.org"}
		rejected         = func(email, reason string) messagestore.Body {
			return identitymsg.RegistrationRejected{UserID: ada, Email: email, Reason: reason}
		}
		resetRequested = func(id string) messagestore.Body { return identitymsg.PasswordResetRequested{UserID: ada, ResetID: id} }
		reset          = func(id string) messagestore.Body {
			return identitymsg.ResetPassword{UserID: ada, ResetID: id, PasswordHash: "new"}
		}
		change           = identitymsg.ChangePassword{UserID: ada, PasswordHash: "new", SessionID: "session", Replaces: "hash"}
		changed          = identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new", SessionID: "session"}
		wasReset         = identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"}
		passwordRejected = func(reason string) messagestore.Body {
			return identitymsg.PasswordChangeRejected{UserID: ada, Reason: reason}
		}
		upgrade = func(replaces string) messagestore.Body {
			return identitymsg.UpgradePasswordHash{UserID: ada, PasswordHash: "better", Replaces: replaces}
		}
		upgraded    = identitymsg.PasswordHashUpgraded{UserID: ada, PasswordHash: "better"}
		changeEmail = func(email string) messagestore.Body {
			return identitymsg.ChangeEmail{UserID: ada, Email: email, Replaces: "hash"}
		}
		changeRequested = func(email string) messagestore.Body {
			return identitymsg.EmailChangeRequested{UserID: ada, Email: email}
		}
		changeRejected = func(email, reason string) messagestore.Body {
			return identitymsg.EmailChangeRejected{UserID: ada, Email: email, Reason: reason}
		}
		outdated     = identitymsg.PasswordOutdated
		emailChanged = identitymsg.EmailChanged{UserID: ada, Email: "Lovelace@example.org", Previous: "Ada@example.org"}
		grant        = func(role string) messagestore.Body { return identitymsg.GrantRole{UserID: ada, Role: role} }
		granted      = func(role string) messagestore.Body { return identitymsg.RoleGranted{UserID: ada, Role: role} }
		revoke       = func(role string) messagestore.Body { return identitymsg.RevokeRole{UserID: ada, Role: role} }
		revoked      = func(role string) messagestore.Body { return identitymsg.RoleRevoked{UserID: ada, Role: role} }
		roleRejected = func(role, reason string) messagestore.Body {
			return identitymsg.RoleChangeRejected{UserID: ada, Role: role, Reason: reason}
		}
		claim = identitymsg.ClaimFirstAdmin{UserID: ada}
	)
	const admin, creator = identitymsg.Admin, identitymsg.Creator
	for name, test := range map[string]struct {
		given  bodies        // of ada
		holder string        // of lovelace@example.org and ada@example.org, if not empty
		first  string        // the first administrator, if not empty
		later  time.Duration // between the last event and the command
		when   bodies
		then   bodies
	}{
		"register":                           {when: bodies{register}, then: bodies{registered}},
		"register, address taken":            {holder: bob, when: bodies{register}, then: bodies{rejected("Ada@example.org", identitymsg.EmailTaken)}},
		"register, the address is their own": {holder: ada, when: bodies{register}, then: bodies{registered}},
		"register, no address":               {when: bodies{identitymsg.Register{UserID: ada, Email: " ada ", PasswordHash: "hash"}}, then: bodies{rejected("ada", identitymsg.EmailInvalid)}},
		"register twice":                     {when: bodies{register, register}, then: bodies{registered, rejected("Ada@example.org", identitymsg.AlreadyRegistered)}},
		"register after a refusal":           {given: bodies{rejected("ada", identitymsg.EmailInvalid)}, when: bodies{register}, then: bodies{registered}},

		"confirm":                                  {given: bodies{registered}, when: bodies{confirm("aDA@example.org")}, then: bodies{confirmed}},
		"confirm twice":                            {given: bodies{registered}, when: bodies{confirm("ada@example.org"), confirm("ada@example.org")}, then: bodies{confirmed, confirmed}},
		"confirm another address":                  {given: bodies{registered}, when: bodies{confirm("lovelace@example.org")}, then: bodies{confirmRejected(identitymsg.LinkOutdated)}},
		"confirm nothing":                          {given: bodies{registered}, when: bodies{confirm("")}, then: bodies{confirmRejected(identitymsg.LinkOutdated)}},
		"confirm as nobody":                        {when: bodies{confirm("ada@example.org")}, then: bodies{confirmRejected(identitymsg.NotRegistered)}},
		"confirm as nobody, nothing":               {when: bodies{confirm("")}, then: bodies{confirmRejected(identitymsg.NotRegistered)}},
		"confirm what once was no address":         {given: bodies{identitymsg.Registered{UserID: ada, Email: "Ada"}}, when: bodies{confirm("ada")}, then: bodies{identitymsg.EmailConfirmed{UserID: ada, Email: "Ada"}}},
		"confirm a change":                         {given: bodies{registered, changeRequested("Lovelace@example.org")}, when: bodies{confirm("lovelace@EXAMPLE.org")}, then: bodies{emailChanged}},
		"confirm a change twice":                   {given: bodies{registered, changeRequested("Lovelace@example.org")}, when: bodies{confirm("lovelace@example.org"), confirm("lovelace@example.org")}, then: bodies{emailChanged, identitymsg.EmailConfirmed{UserID: ada, Email: "Lovelace@example.org"}}},
		"confirm a change, taken meanwhile":        {given: bodies{registered, changeRequested("Lovelace@example.org")}, holder: bob, when: bodies{confirm("lovelace@example.org"), confirm("lovelace@example.org")}, then: bodies{changeRejected("Lovelace@example.org", identitymsg.EmailTaken), confirmRejected(identitymsg.LinkOutdated)}},
		"confirm a change after another":           {given: bodies{registered, changeRequested("lovelace@example.org"), changeRequested("byron@example.org")}, when: bodies{confirm("lovelace@example.org")}, then: bodies{confirmRejected(identitymsg.LinkOutdated)}},
		"confirm a change asked for twice":         {given: bodies{registered, changeRequested("Lovelace@example.org"), changeRejected("lovelace@example.org", identitymsg.TooSoon)}, when: bodies{confirm("lovelace@example.org")}, then: bodies{emailChanged}},
		"confirm a change after a password":        {given: bodies{registered, changeRequested("Lovelace@example.org"), changed}, when: bodies{confirm("lovelace@example.org")}, then: bodies{confirmRejected(identitymsg.LinkOutdated)}},
		"confirm the old address while it changes": {given: bodies{registered, changeRequested("lovelace@example.org")}, when: bodies{confirm("ada@example.org")}, then: bodies{confirmed}},
		"confirm the old address afterwards":       {given: bodies{registered, changeRequested("lovelace@example.org"), emailChanged}, when: bodies{confirm("ada@example.org")}, then: bodies{confirmRejected(identitymsg.LinkOutdated)}},

		"ask to confirm":                  {given: bodies{registered}, when: bodies{confirmAgain}, then: bodies{confirmRequested}},
		"ask to confirm twice":            {given: bodies{registered}, when: bodies{confirmAgain, confirmAgain}, then: bodies{confirmRequested, confirmRejected(identitymsg.TooSoon)}},
		"ask to confirm a minute later":   {given: bodies{registered, confirmRequested}, later: time.Minute, when: bodies{confirmAgain}, then: bodies{confirmRequested}},
		"ask to confirm half of one":      {given: bodies{registered, confirmRequested}, later: 30 * time.Second, when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.TooSoon)}},
		"ask to confirm a change":         {given: bodies{registered, changeRequested("lovelace@example.org")}, when: bodies{confirmAgain}, then: bodies{identitymsg.ConfirmationRequested{UserID: ada, Email: "lovelace@example.org"}}},
		"ask to confirm, done already":    {given: bodies{registered, confirmed}, when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.AlreadyConfirmed)}},
		"ask to confirm, done just now":   {given: bodies{registered, confirmRequested, confirmed}, when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.AlreadyConfirmed)}},
		"ask to confirm, another address": {given: bodies{registered, identitymsg.EmailConfirmed{UserID: ada, Email: "byron@example.org"}}, when: bodies{confirmAgain}, then: bodies{confirmRequested}},
		"ask to confirm after a change":   {given: bodies{registered, changeRequested("Lovelace@example.org"), emailChanged}, when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.AlreadyConfirmed)}},
		"ask to confirm after a reset":    {given: bodies{registered, resetRequested("r1"), wasReset, confirmed}, when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.AlreadyConfirmed)}},
		"ask to confirm, only reset yet":  {given: bodies{registered, resetRequested("r1"), wasReset}, when: bodies{confirmAgain}, then: bodies{confirmRequested}},
		"ask to confirm after a password": {given: bodies{registered, changed}, when: bodies{confirmAgain}, then: bodies{confirmRequested}},
		"ask to confirm the next address": {given: bodies{registered, confirmed, changeRequested("lovelace@example.org")}, when: bodies{confirmAgain}, then: bodies{identitymsg.ConfirmationRequested{UserID: ada, Email: "lovelace@example.org"}}},
		"ask to confirm as nobody":        {when: bodies{confirmAgain}, then: bodies{confirmRejected(identitymsg.NotRegistered)}},
		"ask to confirm after a refusal":  {given: bodies{registered, confirmRequested, confirmRejected(identitymsg.TooSoon)}, later: time.Minute, when: bodies{confirmAgain}, then: bodies{confirmRequested}},

		"reset":                                   {given: bodies{registered, resetRequested("r1")}, when: bodies{reset("r1")}, then: bodies{wasReset}},
		"reset twice":                             {given: bodies{registered, resetRequested("r1")}, when: bodies{reset("r1"), reset("r1")}, then: bodies{wasReset, passwordRejected(identitymsg.LinkUsed)}},
		"reset within the hour":                   {given: bodies{registered, resetRequested("r1")}, later: 59 * time.Minute, when: bodies{reset("r1")}, then: bodies{wasReset}},
		"reset after an hour":                     {given: bodies{registered, resetRequested("r1")}, later: time.Hour + time.Second, when: bodies{reset("r1")}, then: bodies{passwordRejected(identitymsg.LinkExpired)}},
		"reset, used and expired":                 {given: bodies{registered, resetRequested("r1"), wasReset}, later: 2 * time.Hour, when: bodies{reset("r1")}, then: bodies{passwordRejected(identitymsg.LinkUsed)}},
		"reset by an older link":                  {given: bodies{registered, resetRequested("r1"), resetRequested("r2")}, when: bodies{reset("r1"), reset("r2")}, then: bodies{passwordRejected(identitymsg.LinkOutdated), wasReset}},
		"reset by a link of two mails":            {given: bodies{registered, resetRequested("r1"), resetRequested("r1")}, when: bodies{reset("r1"), reset("r1")}, then: bodies{wasReset, passwordRejected(identitymsg.LinkUsed)}},
		"reset after one and the next":            {given: bodies{registered, resetRequested("r1"), wasReset, resetRequested("r2")}, when: bodies{reset("r2")}, then: bodies{wasReset}},
		"reset after a change":                    {given: bodies{registered, resetRequested("r1"), changed}, when: bodies{reset("r1")}, then: bodies{passwordRejected(identitymsg.LinkOutdated)}},
		"reset after another address":             {given: bodies{registered, resetRequested("r1"), changeRequested("lovelace@example.org"), emailChanged}, when: bodies{reset("r1")}, then: bodies{passwordRejected(identitymsg.LinkOutdated)}},
		"reset after a better hash":               {given: bodies{registered, resetRequested("r1"), upgraded}, when: bodies{reset("r1")}, then: bodies{wasReset}},
		"reset never asked for":                   {given: bodies{registered}, when: bodies{reset("r1"), reset("")}, then: bodies{passwordRejected(identitymsg.LinkOutdated), passwordRejected(identitymsg.LinkOutdated)}},
		"reset as nobody":                         {when: bodies{reset("r1")}, then: bodies{passwordRejected(identitymsg.NotRegistered)}},
		"change the password":                     {given: bodies{registered}, when: bodies{change}, then: bodies{changed}},
		"change the password twice":               {given: bodies{registered}, when: bodies{change, change}, then: bodies{changed, passwordRejected(outdated)}},
		"change the password after a reset":       {given: bodies{registered, resetRequested("r1"), wasReset}, when: bodies{change}, then: bodies{passwordRejected(outdated)}},
		"change the password after a better hash": {given: bodies{registered, upgraded}, when: bodies{change}, then: bodies{passwordRejected(outdated)}},
		"change the password as nobody":           {when: bodies{change}, then: bodies{passwordRejected(identitymsg.NotRegistered)}},
		"a better hash":                           {given: bodies{registered}, when: bodies{upgrade("hash")}, then: bodies{upgraded}},
		"a better hash twice":                     {given: bodies{registered}, when: bodies{upgrade("hash"), upgrade("hash")}, then: bodies{upgraded, passwordRejected(outdated)}},
		"a better hash of the last":               {given: bodies{registered, changed}, when: bodies{upgrade("hash"), upgrade("new")}, then: bodies{passwordRejected(outdated), upgraded}},
		"a better hash of nobody's":               {when: bodies{upgrade("")}, then: bodies{passwordRejected(identitymsg.NotRegistered)}},
		"change the address":                      {given: bodies{registered}, when: bodies{changeEmail(" Lovelace@example.org ")}, then: bodies{changeRequested("Lovelace@example.org")}},
		"change the address twice":                {given: bodies{registered}, when: bodies{changeEmail("lovelace@example.org"), changeEmail("byron@example.org")}, then: bodies{changeRequested("lovelace@example.org"), changeRejected("byron@example.org", identitymsg.TooSoon)}},
		"change it a minute later":                {given: bodies{registered, changeRequested("lovelace@example.org")}, later: time.Minute, when: bodies{changeEmail("byron@example.org")}, then: bodies{changeRequested("byron@example.org")}},
		"change to no address":                    {given: bodies{registered}, when: bodies{changeEmail("lovelace")}, then: bodies{changeRejected("lovelace", identitymsg.EmailInvalid)}},
		"change to the same address":              {given: bodies{registered}, when: bodies{changeEmail("ADA@example.org")}, then: bodies{changeRejected("ADA@example.org", identitymsg.SameEmail)}},
		"change to a taken address":               {given: bodies{registered}, holder: bob, when: bodies{changeEmail("lovelace@example.org")}, then: bodies{changeRejected("lovelace@example.org", identitymsg.EmailTaken)}},
		"change to an address held once":          {given: bodies{registered}, holder: ada, when: bodies{changeEmail("lovelace@example.org")}, then: bodies{changeRequested("lovelace@example.org")}},
		"change the address after a password":     {given: bodies{registered, changed}, when: bodies{changeEmail("lovelace@example.org")}, then: bodies{changeRejected("lovelace@example.org", outdated)}},
		"change it to what the person wants":      {given: bodies{registered, changed, changeRequested("Lovelace@example.org")}, when: bodies{changeEmail("lovelace@example.org"), confirm("lovelace@example.org")}, then: bodies{changeRejected("lovelace@example.org", outdated), emailChanged}},
		"change the address as nobody":            {when: bodies{changeEmail("lovelace@example.org")}, then: bodies{changeRejected("lovelace@example.org", identitymsg.NotRegistered)}},

		"grant":                       {given: bodies{registered}, when: bodies{grant(creator)}, then: bodies{granted(creator)}},
		"grant twice":                 {given: bodies{registered}, when: bodies{grant(admin), grant(admin)}, then: bodies{granted(admin), granted(admin)}},
		"grant where there is one":    {given: bodies{registered}, first: bob, when: bodies{grant(admin)}, then: bodies{granted(admin)}},
		"grant what there is not":     {given: bodies{registered}, when: bodies{grant("owner")}, then: bodies{roleRejected("owner", identitymsg.UnknownRole)}},
		"grant to nobody":             {when: bodies{grant(admin)}, then: bodies{roleRejected(admin, identitymsg.NotRegistered)}},
		"revoke":                      {given: bodies{registered, granted(admin)}, when: bodies{revoke(admin)}, then: bodies{revoked(admin)}},
		"revoke twice":                {given: bodies{registered}, when: bodies{revoke(creator), revoke(creator)}, then: bodies{revoked(creator), revoked(creator)}},
		"revoke what there is not":    {given: bodies{registered}, when: bodies{revoke("")}, then: bodies{roleRejected("", identitymsg.UnknownRole)}},
		"revoke of nobody":            {when: bodies{revoke(admin)}, then: bodies{roleRejected(admin, identitymsg.NotRegistered)}},
		"claim":                       {given: bodies{registered}, when: bodies{claim}, then: bodies{granted(admin)}},
		"claim twice":                 {given: bodies{registered}, when: bodies{claim, claim}, then: bodies{granted(admin), granted(admin)}},
		"claim where there is one":    {given: bodies{registered}, first: bob, when: bodies{claim}, then: bodies{roleRejected(admin, identitymsg.AdminExists)}},
		"claim, died before the role": {given: bodies{registered}, first: ada, when: bodies{claim}, then: bodies{granted(admin)}},
		"claim what was taken away":   {given: bodies{registered, granted(admin), revoked(admin)}, first: ada, when: bodies{claim}, then: bodies{roleRejected(admin, identitymsg.AdminExists)}},
		"claim as nobody":             {when: bodies{claim}, then: bodies{roleRejected(admin, identitymsg.NotRegistered)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Given(adaStream, test.given...)
			if test.holder != "" {
				b.Given(b.address("lovelace@example.org"), identitymsg.EmailReserved{UserID: test.holder})
				b.Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: test.holder})
			}
			if test.first != "" {
				b.Given(identitymsg.FirstAdminStream, identitymsg.FirstAdminClaimed{UserID: test.first})
			}
			handlers := b.commands()
			if test.later > 0 {
				handlers = b.later(test.later)
			}
			b.When(handlers, adaCommands, test.when...).Then(adaStream, test.then...)
		})
	}
}

// Granting the role ends the link for the first administrator.
func TestTheFirstAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Given(adaStream, registered).Given(identitymsg.Category.Stream(bob), identitymsg.Registered{UserID: bob, Email: "bob@example.org"}).
		When(b.commands(), adaCommands, identitymsg.GrantRole{UserID: ada, Role: identitymsg.Creator}).
		Then(identitymsg.FirstAdminStream).
		When(b.commands(), adaCommands, identitymsg.GrantRole{UserID: ada, Role: identitymsg.Admin}).
		Then(identitymsg.FirstAdminStream, identitymsg.FirstAdminClaimed{UserID: ada}).
		When(b.commands(), identitymsg.Category.CommandStream(bob), identitymsg.ClaimFirstAdmin{UserID: bob}).
		Then(identitymsg.Category.Stream(bob), identitymsg.RoleChangeRejected{UserID: bob, Role: identitymsg.Admin, Reason: identitymsg.AdminExists}).
		Then(identitymsg.FirstAdminStream, identitymsg.FirstAdminClaimed{UserID: ada})
}

func TestRequestPasswordReset(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Given(adaStream, registered).Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada})
	request := func(email string) (messagestore.Stream, identitymsg.RequestPasswordReset) {
		id := b.address(email).ID()
		return identitymsg.Category.CommandStream(id), identitymsg.RequestPasswordReset{AddressID: id}
	}
	stream, ask := request("ADA@example.org")
	b.When(b.commands(), stream, ask, ask)
	asked := b.all(stream)
	first := identitymsg.PasswordResetRequested{UserID: ada, ResetID: messagestore.DeriveID(asked[0].ID, "reset")}
	b.Then(adaStream, first) // the second came too soon, and nothing says so

	// While the link works another mail has the same one, or else anybody could make it
	// outdated by asking; afterwards there is a new one.
	b.When(b.later(time.Minute), stream, ask).Then(adaStream, first, first)
	again := b.all(stream)[2]
	b.When(b.later(time.Hour+time.Minute), stream, ask)
	last := b.all(stream)[3]
	next := identitymsg.PasswordResetRequested{UserID: ada, ResetID: messagestore.DeriveID(last.ID, "reset")}
	b.Then(adaStream, first, first, next)

	// Delivered again none of them does anything: the one that came too soon still did,
	// and the id of what the others wrote is there, however late it is.
	b.handle(asked[1], b.commands())
	for _, m := range []messagestore.Raw{asked[0], again, last} {
		b.handle(m, b.later(2*time.Hour))
	}
	if n := len(b.all(adaStream)); n != 4 {
		t.Errorf("%d events", n)
	}

	// Nobody's address, one that is reserved by somebody who never registered, and one
	// that is somebody's no longer.
	b.Given(b.address("byron@example.org"), identitymsg.EmailReserved{UserID: bob}).
		Given(b.address("old@example.org"), identitymsg.EmailReserved{UserID: ada}).
		Given(b.address("gone@example.org"), identitymsg.EmailReserved{UserID: ada}, identitymsg.EmailReleased{UserID: ada})
	for _, email := range []string{"nobody@example.org", "byron@example.org", "old@example.org", "gone@example.org"} {
		stream, ask := request(email)
		b.When(b.later(time.Hour), stream, ask)
	}
	if n := len(b.all(adaStream)) + len(b.all(identitymsg.Category.Stream(bob))); n != 4 {
		t.Errorf("%d events", n)
	}
}

// A link that was used, or that a new password or address made useless, stays so: who
// asks after it gets a new one, and at once.
func TestALinkThatIsOverStaysSo(t *testing.T) {
	t.Parallel()
	asked := identitymsg.PasswordResetRequested{UserID: ada, ResetID: "r1"}
	for name, ended := range map[string]messagestore.Body{
		"used":           identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"},
		"a new password": identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new", SessionID: "session"},
		"a new address":  identitymsg.EmailChanged{UserID: ada, Email: "ada@example.org", Previous: "Ada@example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.address("ada@example.org").ID()
			stream := identitymsg.Category.CommandStream(id)
			b.Given(adaStream, registered, asked, ended).Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada}).
				When(b.commands(), stream, identitymsg.RequestPasswordReset{AddressID: id})
			b.Then(adaStream, identitymsg.PasswordResetRequested{UserID: ada, ResetID: messagestore.DeriveID(b.all(stream)[0].ID, "reset")})
		})
	}
}

// Who asked too soon gets no mail when the link is over by the time that the command is
// handled, or is delivered again: they have set their password. Who asks then does, and
// the pause begins anew.
func TestThePauseIsThatOfTheTimeOfAsking(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.address("ada@example.org").ID()
	stream := identitymsg.Category.CommandStream(id)
	ask := identitymsg.RequestPasswordReset{AddressID: id}
	b.Given(adaStream, registered).Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada}).
		When(b.commands(), stream, ask, ask)
	asked := b.all(stream)
	first := messagestore.DeriveID(asked[0].ID, "reset")
	late := b.write(stream, ask)
	used := identitymsg.ResetPassword{UserID: ada, ResetID: first, PasswordHash: "new"}
	b.When(b.commands(), adaCommands, used)
	for _, m := range []messagestore.Raw{asked[0], asked[1], late} {
		b.handle(m, b.commands())
	}
	b.Then(adaStream, identitymsg.PasswordResetRequested{UserID: ada, ResetID: first}, identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"})

	b.When(b.commands(), stream, ask, ask) // with the late one once more
	next := messagestore.DeriveID(b.all(stream)[3].ID, "reset")
	b.Then(adaStream, identitymsg.PasswordResetRequested{UserID: ada, ResetID: first}, identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"},
		identitymsg.PasswordResetRequested{UserID: ada, ResetID: next})
	m, err := b.store.Last(b.ctx, adaStream, "PasswordResetRequested")
	if err != nil {
		t.Fatal(err)
	}
	b.handle(m, b.events())
	b.mail(messagestore.DeriveID("email", "password-reset", m.ID))
}

// A link in the mail of the address confirms it, once and by an event that says so.
func TestAResetConfirmsTheAddress(t *testing.T) {
	t.Parallel()
	var (
		reset     = identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"}
		changed   = identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new", SessionID: "session"}
		confirmed = identitymsg.EmailConfirmed{UserID: ada, Email: "Ada@example.org"}
	)
	for name, test := range map[string]struct{ given, when, then bodies }{
		"not yet confirmed":        {bodies{registered}, bodies{reset}, bodies{confirmed}},
		"twice":                    {bodies{registered}, bodies{reset, reset}, bodies{confirmed}},
		"confirmed before":         {bodies{registered, confirmed}, bodies{reset}, nil},
		"another address was":      {bodies{registered, identitymsg.EmailConfirmed{UserID: ada, Email: "byron@example.org"}}, bodies{reset}, bodies{confirmed}},
		"by who is signed in":      {bodies{registered}, bodies{changed}, nil},
		"after another address":    {bodies{registered, identitymsg.EmailChanged{UserID: ada, Email: "lovelace@example.org", Previous: "Ada@example.org"}}, bodies{reset}, nil},
		"while another is awaited": {bodies{registered, identitymsg.EmailChangeRequested{UserID: ada, Email: "lovelace@example.org"}}, bodies{reset}, bodies{confirmed}},
		"nobody":                   {nil, bodies{reset}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Given(adaStream, test.given...).When(b.events(), adaStream, test.when...).Then(adaStream, test.then...)
		})
	}

	// Confirmed by the other link before the event of the reset is handled, and replayed.
	b := newBench(t)
	b.write(adaStream, registered)
	m := b.write(adaStream, reset)
	b.write(adaStream, confirmed)
	b.handle(m, b.events())
	b.handle(m, b.events())
	if n := len(b.all(adaStream)); n != 3 {
		t.Errorf("%d events", n)
	}
}

// A command that had to wait is not taken for done because one of another stream, which
// was written after it, was answered before it.
func TestACommandThatWaitsIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Given(adaStream, registered).Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada})
	waits := b.write(adaCommands, identitymsg.GrantRole{UserID: ada, Role: identitymsg.Creator})
	id := b.address("ada@example.org").ID()
	b.handle(b.write(identitymsg.Category.CommandStream(id), identitymsg.RequestPasswordReset{AddressID: id}), b.commands())
	b.handle(waits, b.commands())
	b.handle(waits, b.commands())
	var kinds []string
	for _, m := range b.all(adaStream) {
		kinds = append(kinds, m.Type)
	}
	if want := []string{"Registered", "PasswordResetRequested", "RoleGranted"}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
}

// What another program answered, whose events say less, is not answered again.
func TestCommandsOfOldAreDone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.write(adaCommands, register)
	b.write(adaStream, registered)
	b.handle(old, b.commands())
	if n := len(b.all(adaStream)); n != 1 {
		t.Errorf("%d events", n)
	}
	b.When(b.commands(), adaCommands, identitymsg.GrantRole{UserID: ada, Role: identitymsg.Creator}) // with the old one once more
	if all := b.all(adaStream); len(all) != 2 || all[1].Type != "RoleGranted" {
		t.Errorf("%v", all)
	}
}

// What was decided on a person as they were is not written when something has happened
// since.
func TestADecisionOnOldFactsIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(adaStream, registered)
	m, err := messagestore.Decode[identitymsg.UpgradePasswordHash](b.write(adaCommands, identitymsg.UpgradePasswordHash{UserID: ada, PasswordHash: "better", Replaces: "hash"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.person(b.ctx, ada)
	if err != nil {
		t.Fatal(err)
	}
	b.write(adaStream, identitymsg.PasswordChanged{UserID: ada, PasswordHash: "new"})
	if err := answer(b.ctx, b.Component, p, m, identitymsg.PasswordHashUpgraded{UserID: ada, PasswordHash: "better"}); !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		t.Error(err)
	}
}

// Twenty people register with one address at once, in two processes.
func TestOneAddressIsOnePerson(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	another := New(b.store, b.config)
	spellings := []string{"grace@example.org", " Grace@Example.ORG", "GRACE@example.org.", "grace@ｅｘａｍｐｌｅ.org"}
	var commands []messagestore.Raw
	var streams []messagestore.Stream
	for i := range 20 {
		user := messagestore.NewID()
		streams = append(streams, identitymsg.Category.Stream(user))
		commands = append(commands, b.write(identitymsg.Category.CommandStream(user), identitymsg.Register{UserID: user, Email: spellings[i%len(spellings)], PasswordHash: "hash"}))
	}
	var all sync.WaitGroup
	begin := make(chan struct{})
	for _, m := range commands {
		for _, c := range []*Component{b.Component, another} {
			all.Go(func() { <-begin; b.handle(m, c.commands()) })
		}
	}
	close(begin)
	all.Wait()
	outcomes, winner := map[string]int{}, ""
	for _, stream := range streams {
		events := b.all(stream)
		if len(events) != 1 {
			t.Fatalf("%d events in %s", len(events), stream)
		}
		outcomes[events[0].Type]++
		if events[0].Type == "Registered" {
			winner = stream.ID()
		} else if !strings.Contains(string(events[0].Data), `"`+identitymsg.EmailTaken+`"`) {
			t.Errorf("%s", events[0].Data)
		}
	}
	if outcomes["Registered"] != 1 || outcomes["RegistrationRejected"] != 19 {
		t.Errorf("%v", outcomes)
	}
	if r := b.all(b.address("grace@example.org")); len(r) != 1 || !strings.Contains(string(r[0].Data), winner) {
		t.Errorf("%d reservations, the first %s; %s registered", len(r), r[0].Data, winner)
	}
}

// The process dies between the reservation and the registration.
func TestAReservationIsFoundAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	command := b.write(adaCommands, register)
	m, err := messagestore.Decode[identitymsg.Register](command)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := reserve(b.ctx, b.Component, m, "ada@example.org", ada); err != nil || !ours {
		t.Fatal(ours, err)
	}
	// Meanwhile somebody else asks for it.
	other := identitymsg.Category.CommandStream(bob)
	b.When(b.commands(), other, identitymsg.Register{UserID: bob, Email: "ada@example.org"}).
		Then(identitymsg.Category.Stream(bob), identitymsg.RegistrationRejected{UserID: bob, Email: "ada@example.org", Reason: identitymsg.EmailTaken})
	b.handle(command, b.commands())
	b.handle(command, b.commands())
	if events := b.all(adaStream); len(events) != 1 || events[0].Type != "Registered" {
		t.Errorf("%v", events)
	}
	if reservations := b.all(b.address("ada@example.org")); len(reservations) != 1 {
		t.Errorf("%d reservations", len(reservations))
	}
}

// Who registered when there were no reservations gets theirs, unless somebody else has
// had the address since.
func TestAddressesOfOldAreReserved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.When(b.events(), adaStream, registered).
		Then(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada}).
		When(b.commands(), identitymsg.Category.CommandStream(bob), identitymsg.Register{UserID: bob, Email: "ada@example.org"}).
		Then(identitymsg.Category.Stream(bob), identitymsg.RegistrationRejected{UserID: bob, Email: "ada@example.org", Reason: identitymsg.EmailTaken})

	late := messagestore.NewID()
	b.When(b.events(), identitymsg.Category.Stream(late), identitymsg.Registered{UserID: late, Email: "ADA@example.org"}).
		Then(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada})
	b.Given(b.address("free@example.org"), identitymsg.EmailReserved{UserID: late}, identitymsg.EmailReleased{UserID: late}).
		When(b.events(), identitymsg.Category.Stream(late), identitymsg.Registered{UserID: late, Email: "free@example.org"}).
		Then(b.address("free@example.org"))
	// What is no address does not stop the others.
	b.When(b.events(), identitymsg.Category.Stream(late), identitymsg.Registered{UserID: late, Email: "someone"})
}

func TestThePreviousAddressIsReleased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	changed := identitymsg.EmailChanged{UserID: ada, Email: "lovelace@example.org", Previous: "Ada@example.org"}
	b.Given(b.address("ada@example.org"), identitymsg.EmailReserved{UserID: ada}).
		When(b.events(), adaStream, changed).
		Then(b.address("ada@example.org"), identitymsg.EmailReleased{UserID: ada})
	b.When(b.commands(), identitymsg.Category.CommandStream(bob), identitymsg.Register{UserID: bob, Email: "ada@example.org", PasswordHash: "hash"}).
		Then(identitymsg.Category.Stream(bob), identitymsg.Registered{UserID: bob, Email: "ada@example.org", PasswordHash: "hash"})
	// Another's is left alone.
	b.When(b.events(), adaStream, changed).
		Then(b.address("ada@example.org"), identitymsg.EmailReleased{UserID: ada}, identitymsg.EmailReserved{UserID: bob})
}

// A person goes back to the address that they had before it was released.
func TestGoingBackKeepsTheAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.When(b.commands(), adaCommands, register, identitymsg.ChangeEmail{UserID: ada, Email: "lovelace@example.org", Replaces: "hash"}, identitymsg.ConfirmEmail{UserID: ada, Email: "lovelace@example.org"})
	away, err := b.store.Last(b.ctx, adaStream, "EmailChanged")
	if err != nil {
		t.Fatal(err)
	}
	b.When(b.later(time.Hour), adaCommands, identitymsg.ChangeEmail{UserID: ada, Email: "ada@example.org", Replaces: "hash"}).
		When(b.commands(), adaCommands, identitymsg.ConfirmEmail{UserID: ada, Email: "ada@example.org"})
	back, err := b.store.Last(b.ctx, adaStream, "EmailChanged")
	if err != nil || back.ID == away.ID {
		t.Fatal("not changed back", err)
	}
	b.handle(away, b.events())
	b.handle(back, b.events())
	if r, _, err := b.reservation(b.ctx, b.address("ada@example.org")); err != nil || r.holder != ada {
		t.Errorf("ada@example.org is %q's, %v", r.holder, err)
	}
	if r, _, err := b.reservation(b.ctx, b.address("lovelace@example.org")); err != nil || r.holder != "" {
		t.Errorf("lovelace@example.org is %q's, %v", r.holder, err)
	}
}

// The whole component, followed by its subscriptions, from the command to what became
// of the mail.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	listen, err := db.ListenConfig(b.url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.ctx)
	subscriptions := messagestore.NewSubscriptions(listen, nil, b.Subscriptions()...)
	ended := make(chan error, 1)
	go func() { ended <- subscriptions.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	passed := func() {
		t.Helper()
		for range 2 { // what follows from a command, and what follows from that
			if err := subscriptions.CaughtUp(b.ctx, b.store); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.write(adaCommands, register)
	passed()
	mail := b.mail(identitymsg.WelcomeEmailID(ada))
	if _, err := b.store.Write(b.ctx, sendemailmsg.Category.Stream(mail.EmailID), sendemailmsg.Sent{Mail: mail},
		messagestore.WithMetadata(messagestore.Metadata{OriginStreamName: adaStream})); err != nil {
		t.Fatal(err)
	}
	passed()
	if last, err := b.store.Last(b.ctx, adaStream, ""); err != nil || last.Type != "RegistrationEmailSent" || last.Position != 1 {
		t.Errorf("%v, %v", last, err)
	}
}
