// Package messagestore is a client for Message DB, the message store in Postgres:
// streams of messages, commands and events, with optimistic concurrency; entities
// that are folded from them; and subscriptions that follow a category.
//
// # Writing and reading
//
// A [Store] writes a [Body] to a [Stream] and reads streams and categories.
// [ExpectedVersion] makes a write fail with [ErrWrongExpectedVersion] if somebody
// else was faster, and [WithID] makes it fail with [ErrDuplicateID] if it was done
// already: together they make every handler safe to repeat. [Fetch] folds a
// stream into an entity.
//
// # Handling
//
// A handler has four beats: fetch the entity; has this been done already; decide;
// write, expecting the version that was fetched. What the business refuses is an
// event; what goes wrong technically is an error, and is retried. Ids of messages
// that a handler writes are derived ([DeriveID]) from the id of the message that
// caused them, and [Follow] carries the trace along.
//
// # Following
//
// [NewSubscription] gives a category's messages to handlers in order, at least
// once, in one process at a time, and keeps the position in the store itself.
// Where handlers take long, or are tried again for long, its Concurrency lets other
// streams go on meanwhile.
// [NewProjection] applies them to view data exactly once, with any number of
// processes: rows and checkpoint change in one transaction. [Subscriptions] runs
// both kinds on one connection that LISTENs: a notification only wakes, what is
// read decides, and a poll each second finds what a lost notification left.
//
// Errors that go away by themselves ([IsTransient], [Transient]) are retried for
// ever. Any other error is tried eight times; then the stream of that message is
// parked, its later messages wait behind it, and all other streams go on, until
// [Subscription.Release] has it tried again.
//
// # Order
//
// Message DB lets one transaction at a time write to a category, so the messages
// of one category become visible in the order of their positions. Across
// categories they do not: [Store.All] reads them all without missing any.
//
// # Database
//
// Message DB 1.3 must be installed, with search_path "message_store,public" for
// the pool. Subscriptions are woken by
//
//	NOTIFY messages, '<category> <global position>'
//
// from a trigger after each insert into message_store.messages; without it they
// run on the poll alone.
package messagestore
