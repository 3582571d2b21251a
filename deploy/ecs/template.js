// The template that CloudFormation is given: plain, without an account, a region or anything that must be uploaded first.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { App, LegacyStackSynthesizer } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { VideoTutorials } from './stack.js'

export function synthesise() {
  const app = new App({ analyticsReporting: false })
  const stack = new VideoTutorials(app, 'VideoTutorials', { synthesizer: new LegacyStackSynthesizer(), description: 'Video Tutorials' })
  // A test of the program sees by this that the template is not older than what it is made of, without making it.
  const sources = ['package-lock.json', 'stack.js', 'template.js'].map((name) => readFileSync(new URL(name, import.meta.url)))
  stack.templateOptions.metadata = { MadeFrom: createHash('sha256').update(Buffer.concat(sources)).digest('hex') }
  return Template.fromStack(stack)
}
