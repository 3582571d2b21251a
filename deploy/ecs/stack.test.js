// What must hold of the template, whatever else is changed.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import { synthesise } from './template.js'

const template = synthesise()
const all = (type) => Object.values(template.findResources(type)).map((r) => r.Properties)
const attributes = (list) => Object.fromEntries(list.map(({ Key, Value }) => [Key, Value]))

test('template.json is what the stack gives', () => {
  assert.deepEqual(JSON.parse(readFileSync(new URL('template.json', import.meta.url), 'utf8')), template.toJSON())
})

test('two zones, and each can reach out by itself', () => {
  template.resourceCountIs('AWS::EC2::NatGateway', 2)
  const zones = new Set(all('AWS::EC2::Subnet').map((s) => JSON.stringify(s.AvailabilityZone)))
  assert.equal(zones.size, 2)
})

test('streams outlive the load balancer, requests outlive a deployment, nobody sticks to a task', () => {
  const [balancer] = all('AWS::ElasticLoadBalancingV2::LoadBalancer')
  const idle = Number(attributes(balancer.LoadBalancerAttributes)['idle_timeout.timeout_seconds'])
  assert.ok(idle > 20 && idle < 120, `${idle}`)
  const [group] = all('AWS::ElasticLoadBalancingV2::TargetGroup')
  assert.equal(group.HealthCheckPath, '/health')
  const set = attributes(group.TargetGroupAttributes)
  assert.equal(set['stickiness.enabled'], 'false')
  assert.equal(set['deregistration_delay.timeout_seconds'], '30')
})

test('both databases are in two zones, encrypted, kept and not reachable from outside', () => {
  const databases = all('AWS::RDS::DBInstance')
  assert.equal(databases.length, 2)
  for (const d of databases) {
    assert.equal(d.MultiAZ, true)
    assert.equal(d.StorageEncrypted, true)
    assert.equal(d.DeletionProtection, true)
    assert.equal(d.PubliclyAccessible, false)
    assert.ok(d.BackupRetentionPeriod >= 7)
  }
  assert.deepEqual(databases.map((d) => d.DBName).sort(), ['message_store', 'video_tutorials'])
})

test('keys are kept when the stack is deleted, and no secret stands in the template', () => {
  const secrets = template.findResources('AWS::SecretsManager::Secret')
  const kept = Object.entries(secrets).filter(([, s]) => s.DeletionPolicy === 'Retain').map(([name]) => name)
  assert.equal(kept.length, 2, `${kept}`)
  for (const task of all('AWS::ECS::TaskDefinition')) {
    for (const { Name } of task.ContainerDefinitions[0].Environment) assert.ok(!/SECRET|KEY|URL$|PASSWORD/.test(Name) || Name === 'BASE_URL', Name)
  }
})

test('every task may read the bucket and its own secrets, and stops in order', () => {
  const tasks = all('AWS::ECS::TaskDefinition')
  assert.deepEqual(tasks.map((t) => t.ContainerDefinitions[0].Command.at(-1)).sort(), ['aggregators', 'components', 'web'])
  for (const t of tasks) {
    assert.ok(t.ContainerDefinitions[0].StopTimeout > 10)
    assert.deepEqual(t.ContainerDefinitions[0].HealthCheck.Command, ['CMD', '/video-tutorials', 'healthcheck'])
  }
  for (const s of all('AWS::ECS::Service')) {
    assert.equal(s.DeploymentConfiguration.MinimumHealthyPercent, 100)
    assert.equal(s.DesiredCount ?? 2, 2)
  }
  template.hasResourceProperties('AWS::ECS::TaskDefinition', {
    ContainerDefinitions: [Match.objectLike({ Command: ['serve', '--run', 'web'], MountPoints: [{ ContainerPath: '/data', ReadOnly: false, SourceVolume: 'uploads' }] })],
  })
})

test('the web grows, and each alarm reaches somebody', () => {
  template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 2, MaxCapacity: 10 })
  const alarms = all('AWS::CloudWatch::Alarm').filter((a) => a.AlarmDescription)
  assert.equal(alarms.length, 16)
  for (const a of alarms) assert.equal(a.AlarmActions.length, 1)
})

test('films are private', () => {
  template.hasResourceProperties('AWS::S3::Bucket', {
    PublicAccessBlockConfiguration: { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
  })
})
