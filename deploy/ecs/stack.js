// The system on ECS Fargate: a load balancer before two or more web tasks, two tasks for the components (one works, the other takes
// over), two for the aggregators, and behind them two databases in two zones, a bucket, and a file system for unfinished uploads.
// Reading from top to bottom follows a request inwards.
import { CfnOutput, CfnParameter, Duration, Fn, RemovalPolicy, SecretValue, Stack } from 'aws-cdk-lib'
import * as acm from 'aws-cdk-lib/aws-certificatemanager'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as ecr from 'aws-cdk-lib/aws-ecr'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import * as efs from 'aws-cdk-lib/aws-efs'
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as rds from 'aws-cdk-lib/aws-rds'
import * as s3 from 'aws-cdk-lib/aws-s3'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import * as sns from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'

const network = '10.60.0.0/16'
const port = 3000
const user = '65532' // of the image

export class VideoTutorials extends Stack {
  constructor(scope, id, props) {
    super(scope, id, props)
    const parameter = (name, description, rest) => new CfnParameter(this, name, { type: 'String', description, ...rest }).valueAsString
    const settings = {
      version: parameter('Version', 'Tag of the image in the repository video-tutorials'),
      domain: parameter('Domain', 'Name of the site, like videos.example; it must lead to the load balancer'),
      certificate: parameter('CertificateArn', 'Certificate for the name, of AWS Certificate Manager in this region'),
      smtp: parameter('SmtpArn', 'Secret of Secrets Manager whose text is SMTP_URL: smtps://user:password@host:465'),
      operator: parameter('OperatorEmail', 'Who is mailed when an alarm rings'),
    }

    const vpc = new ec2.Vpc(this, 'Network', {
      ipAddresses: ec2.IpAddresses.cidr(network),
      maxAzs: 2,
      natGateways: 2, // one for each zone: mails go out though the other zone is down
      subnetConfiguration: [
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24 },
        { name: 'tasks', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'data', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
    })
    vpc.addGatewayEndpoint('Bucket', { service: ec2.GatewayVpcEndpointAwsService.S3 }) // films cost nothing on their way to it

    const balancer = this.#balancer(vpc, settings)
    const parts = this.#parts(vpc, settings)

    const group = balancer.listener.addTargets('Web', {
      port,
      protocol: elb.ApplicationProtocol.HTTP,
      targets: [parts.web],
      deregistrationDelay: Duration.seconds(30), // requests end; streams are told to come again when the task stops after it
      healthCheck: {
        path: '/health', // not /ready: when a database is away all of them say so, and ECS would replace them
        interval: Duration.seconds(30),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 5,
      },
    })
    const scaling = parts.web.autoScaleTaskCount({ minCapacity: 2, maxCapacity: 10 })
    scaling.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: 55, scaleInCooldown: Duration.minutes(5), scaleOutCooldown: Duration.minutes(1) })
    scaling.scaleOnMemoryUtilization('Memory', { targetUtilizationPercent: 70, scaleInCooldown: Duration.minutes(5), scaleOutCooldown: Duration.minutes(1) })

    this.#alarms(settings, balancer.balancer, group, parts)
    new CfnOutput(this, 'Address', { value: balancer.balancer.loadBalancerDnsName, description: 'What the name of the site must lead to' })
  }

  #balancer(vpc, settings) {
    const balancer = new elb.ApplicationLoadBalancer(this, 'Balancer', {
      vpc,
      internetFacing: true,
      // Longer than the heartbeat of a stream (20 s), shorter than the site keeps an idle connection (120 s).
      idleTimeout: Duration.seconds(90),
      dropInvalidHeaderFields: true,
      deletionProtection: true,
    })
    balancer.addRedirect()
    const listener = balancer.addListener('Https', {
      port: 443,
      certificates: [acm.Certificate.fromCertificateArn(this, 'Certificate', settings.certificate)],
      sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
    })
    return { balancer, listener }
  }

  // A database server in two zones, and the secret whose text is its URL, which is what the program reads.
  #database(vpc, name, database) {
    const credentials = new Secret(this, `${name}Credentials`, {
      generateSecretString: { secretStringTemplate: '{"username":"video_tutorials"}', generateStringKey: 'password', excludePunctuation: true, passwordLength: 40 },
    })
    const server = new rds.DatabaseInstance(this, name, {
      engine: rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_17_6 }),
      instanceType: ec2.InstanceType.of(ec2.InstanceClass.T4G, ec2.InstanceSize.SMALL),
      credentials: rds.Credentials.fromSecret(credentials),
      databaseName: database,
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      multiAz: true,
      allocatedStorage: 20,
      maxAllocatedStorage: 200,
      storageType: rds.StorageType.GP3,
      storageEncrypted: true,
      backupRetention: Duration.days(14),
      preferredBackupWindow: '02:00-03:00',
      deletionProtection: true,
      removalPolicy: RemovalPolicy.SNAPSHOT,
      autoMinorVersionUpgrade: true,
      cloudwatchLogsExports: ['postgresql'],
    })
    const password = credentials.secretValueFromJson('password').unsafeUnwrap() // a reference, which CloudFormation fills in
    const url = new Secret(this, `${name}Url`, {
      secretStringValue: SecretValue.unsafePlainText(
        `postgres://video_tutorials:${password}@${server.dbInstanceEndpointAddress}:${server.dbInstanceEndpointPort}/${database}?sslmode=require&pool_max_conns=4`,
      ),
    })
    return { server, url }
  }

  #parts(vpc, settings) {
    const views = this.#database(vpc, 'Views', 'video_tutorials')
    const messages = this.#database(vpc, 'Messages', 'message_store')
    const bucket = new s3.Bucket(this, 'Media', {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      versioned: true,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1), noncurrentVersionExpiration: Duration.days(30) }],
    })
    const uploads = new efs.FileSystem(this, 'Uploads', {
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      encrypted: true,
      throughputMode: efs.ThroughputMode.ELASTIC,
      removalPolicy: RemovalPolicy.DESTROY, // only what is not finished lies there
    })
    const access = uploads.addAccessPoint('Access', { path: '/site', createAcl: { ownerUid: user, ownerGid: user, permissions: '750' }, posixUser: { uid: user, gid: user } })
    const key = (name, description) =>
      new Secret(this, name, { description, removalPolicy: RemovalPolicy.RETAIN, generateSecretString: { excludePunctuation: true, passwordLength: 64 } })
    const secret = (from) => ecs.Secret.fromSecretsManager(from)
    const common = {
      environment: {
        APP_NAME: 'Video Tutorials',
        BASE_URL: `https://${settings.domain}`,
        MEDIA_BUCKET: Fn.sub('s3://${Name}?region=${AWS::Region}', { Name: bucket.bucketName }),
        TRUSTED_PROXIES: network,
        OPS_ADDRESS: ':9090', // no security group lets anybody to it; let a Prometheus in where there is one
        LOG_FORMAT: 'json',
      },
      secrets: {
        DATABASE_URL: secret(views.url),
        MESSAGE_STORE_CONNECTION_STRING: secret(messages.url),
        IDENTITY_KEY: secret(key('IdentityKey', 'Belongs to the messages and can never change')),
        COOKIE_SECRET: secret(key('CookieSecret', 'Signs cookies: whoever changes it logs everybody out')),
        SMTP_URL: secret(Secret.fromSecretCompleteArn(this, 'Smtp', settings.smtp)),
      },
    }

    const repository = ecr.Repository.fromRepositoryName(this, 'Repository', 'video-tutorials')
    const cluster = new ecs.Cluster(this, 'Cluster', { vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED })
    const log = new logs.LogGroup(this, 'Log', { retention: logs.RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY })

    const part = (name, { command, cpu, memoryLimitMiB, ephemeralStorageGiB, desiredCount }) => {
      const definition = new ecs.FargateTaskDefinition(this, `${name}Task`, { cpu, memoryLimitMiB, ephemeralStorageGiB })
      definition.addContainer('site', {
        image: ecs.ContainerImage.fromEcrRepository(repository, settings.version),
        command,
        ...common,
        portMappings: name === 'Web' ? [{ containerPort: port }] : undefined,
        healthCheck: { command: ['CMD', '/video-tutorials', 'healthcheck'], interval: Duration.seconds(10), timeout: Duration.seconds(6), retries: 3, startPeriod: Duration.seconds(300) },
        stopTimeout: Duration.seconds(30),
        logging: ecs.LogDriver.awsLogs({ logGroup: log, streamPrefix: name.toLowerCase() }),
      })
      bucket.grantReadWrite(definition.taskRole)
      const service = new ecs.FargateService(this, name, {
        cluster,
        taskDefinition: definition,
        desiredCount,
        minHealthyPercent: 100,
        maxHealthyPercent: 200,
        circuitBreaker: { rollback: true },
        healthCheckGracePeriod: name === 'Web' ? Duration.seconds(600) : undefined,
        vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
        enableExecuteCommand: false,
      })
      for (const { server } of [views, messages]) server.connections.allowDefaultPortFrom(service)
      return service
    }
    const web = part('Web', { command: ['serve', '--run', 'web'], cpu: 512, memoryLimitMiB: 1024 }) // how many, the scaling says
    // Films are made on the task's own disk. Of two tasks one works: more of them make nothing faster, a larger one does.
    const components = part('Components', { command: ['serve', '--run', 'components'], cpu: 2048, memoryLimitMiB: 4096, ephemeralStorageGiB: 60, desiredCount: 2 })
    const aggregators = part('Aggregators', { command: ['serve', '--run', 'aggregators'], cpu: 256, memoryLimitMiB: 512, desiredCount: 2 })

    // A new version reaches what reads messages before what writes them.
    components.node.addDependency(aggregators)
    web.node.addDependency(components)

    // Web tasks share what is uploaded and not finished, so that a person may be sent to any of them. The whole folder is
    // shared, in which they keep nothing else: a mount inside the image's own volume might lie below it.
    web.taskDefinition.addVolume({
      name: 'uploads',
      efsVolumeConfiguration: { fileSystemId: uploads.fileSystemId, transitEncryption: 'ENABLED', authorizationConfig: { accessPointId: access.accessPointId, iam: 'ENABLED' } },
    })
    web.taskDefinition.defaultContainer.addMountPoints({ sourceVolume: 'uploads', containerPath: '/data', readOnly: false })
    uploads.grantReadWrite(web.taskDefinition.taskRole)
    uploads.connections.allowDefaultPortFrom(web)
    return { web, components, aggregators, views: views.server, messages: messages.server, log, cluster }
  }

  #alarms(settings, balancer, group, parts) {
    const topic = new sns.Topic(this, 'Alarms')
    topic.addSubscription(new EmailSubscription(settings.operator))
    const alarm = (name, metric, threshold, description, rest) => {
      const made = new cloudwatch.Alarm(this, name, {
        metric,
        threshold,
        alarmDescription: description,
        evaluationPeriods: 3,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        ...rest,
      })
      made.addAlarmAction(new SnsAction(topic))
      made.addOkAction(new SnsAction(topic))
    }
    const below = { comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD }
    const minute = { period: Duration.minutes(1) }

    alarm('ErrorsOfTheSite', group.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT, minute), 10, 'The site answers with errors of its own')
    alarm('ErrorsOfTheBalancer', balancer.metrics.httpCodeElb(elb.HttpCodeElb.ELB_5XX_COUNT, minute), 10, 'The load balancer reaches no web task')
    alarm('Unready', group.metrics.unhealthyHostCount(minute), 1, 'A web task is not ready: /ready says why', { evaluationPeriods: 10 })
    const running = (service) =>
      new cloudwatch.Metric({
        namespace: 'ECS/ContainerInsights',
        metricName: 'RunningTaskCount',
        dimensionsMap: { ClusterName: parts.cluster.clusterName, ServiceName: service.serviceName },
        statistic: 'Minimum',
        ...minute,
      })
    for (const name of ['web', 'components', 'aggregators']) {
      const title = name[0].toUpperCase() + name.slice(1)
      alarm(`${title}Missing`, running(parts[name]), 2, `Fewer than two tasks run the ${name}`, { ...below, evaluationPeriods: 5, treatMissingData: cloudwatch.TreatMissingData.BREACHING })
    }
    for (const name of ['views', 'messages']) {
      const server = parts[name]
      const title = name[0].toUpperCase() + name.slice(1)
      alarm(`${title}Cpu`, server.metricCPUUtilization(), 80, `The database of the ${name} is busy`)
      alarm(`${title}Disk`, server.metricFreeStorageSpace(), 4 * 2 ** 30, `The disk of the database of the ${name} is nearly full`, below)
      alarm(`${title}Memory`, server.metricFreeableMemory(), 150 * 2 ** 20, `The database of the ${name} has little memory left`, below)
      alarm(`${title}Connections`, server.metricDatabaseConnections(), 150, `The database of the ${name} has many connections`)
    }
    // What the log of the program says, word by word.
    const parked = new logs.MetricFilter(this, 'ParkedStreams', {
      logGroup: parts.log,
      filterPattern: logs.FilterPattern.stringValue('$.msg', '=', 'stream parked'),
      metricNamespace: 'VideoTutorials',
      metricName: 'ParkedStreams',
      metricValue: '1',
    })
    alarm('Parked', parked.metric({ statistic: 'Sum', period: Duration.minutes(5) }), 1, 'A message cannot be handled: see /admin', { evaluationPeriods: 1 })
    const errors = new logs.MetricFilter(this, 'Errors', {
      logGroup: parts.log,
      filterPattern: logs.FilterPattern.stringValue('$.level', '=', 'ERROR'),
      metricNamespace: 'VideoTutorials',
      metricName: 'Errors',
      metricValue: '1',
    })
    alarm('ErrorsInTheLog', errors.metric({ statistic: 'Sum', period: Duration.minutes(5) }), 5, 'The log has errors')
  }
}
