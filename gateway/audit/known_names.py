"""Names of the fields of OCPP 1.6, 2.0.1 and 2.1, and what a record may keep of each. Data.

Every property of every schema stands in exactly one of these sets; tests/audit/test_known_names.py compares them with the schemas
of the `ocpp` package. A name that stands nowhere is not the standard's, and nothing is kept of what it holds.
"""

from typing import Final

__all__ = ["ALL", "BY_THEIR_NAME", "CERTIFICATES", "HARMLESS_KEYS", "KEPT", "MASKED", "TOKENS", "URLS", "VALUES"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEPT: Final = _names("""
    absolutePriceSchedule acChargingParameters action activate activated additionalSelectedServices alarmEnded
    allowedEnergyTransfer amount amountMultiplier apn apnAuthentication appliesToEnergyFee
    appliesToMinimumMaximumCost appliesToOverstayFee appliesToParkingFee attributeStatus attributeStatusInfo
    attributeType autonomousVRefEnable autonomousVRefTimeConstant availableEnergyTransfer basetime batteryData
    bulkSoC cableMaxCurrent cacheExpiryDateTime carbonDioxideEmission cause certificateHashData
    certificateHashDataChain certificateStatus certificateStatusRequests certificateType chargeBoxSerialNumber
    chargePointModel chargePointSerialNumber chargePointVendor chargingLimit chargingLimitSource chargingNeeds
    chargingPeriods chargingPriority chargingProfile chargingProfileCriteria chargingProfileId chargingProfileKind
    chargingProfilePurpose chargingRateUnit chargingSchedule chargingSchedulePeriod chargingState chargingStation
    chargingTime checksum childCertificateHashData clear clearMonitoringResult clearTariffsResult cleared
    component componentCriteria componentVariable conditions configurationKey configurationSlot connectionData
    connectorId connectorStatus connectorType constant constantStreamData consumptionCost context controlId
    controlMode controlType cost costDetails costKind csChargingProfiles currency currentTime curve curveData
    curveType customerCertificate dataType dayOfWeek dcChargingParameters delay departureTime
    derChargingParameters dimensions dischargeLimit dischargeLimit_L2 dischargeLimit_L3 displacement display
    duration dynUpdateInterval dynUpdateTime ePriceLevel encodingMethod endDateTime endTimeOfDay energy
    energyAmount energyFee enterService errorCode evAbsolutePriceSchedule evAbsolutePriceScheduleEntries
    evDurationLevel1DCInjection evDurationLevel2DCInjection evEnergyCapacity evEnergyOffer evInverterHwVersion
    evInverterManufacturer evInverterModel evInverterSwVersion evIslandingDetectionMethod evIslandingTripTime
    evMaxCurrent evMaxEnergyRequest evMaxPower evMaxV2XEnergyRequest evMaxVoltage evMaximumLevel1DCInjection
    evMaximumLevel2DCInjection evMinCurrent evMinEnergyRequest evMinV2XEnergyRequest
    evOverExcitedMaxDischargePower evOverExcitedPowerFactor evPowerSchedule evPowerScheduleEntries evPriceRule
    evReactiveSusceptance evSessionTotalDischargeEnergyAvailable evSupportedDERControl evTargetEnergyRequest
    evUnderExcitedMaxDischargePower evUnderExcitedPowerFactor eventData eventId eventNotificationType eventType
    evse evseId evseIds evseKind evseSleep excitation exclTax expiryDate expiryDateTime exponent
    failureToCalculate fileName filename firmware firmwareVersion fixed fixedFee fixedPF fixedPFAbsorb
    fixedPFInject fixedVar format freqDroop frequency fullSoC generatedAt getVariableData getVariableResult
    gradient gridEventFault hashAlgorithm hashRootCertificate highFreq highVoltage hv10MinMeanTripDelay
    hv10MinMeanValue hysteresis hysteresisDelay hysteresisGradient hysteresisHigh hysteresisLow id idTagInfo
    idTokenInfo identity idleTime inclTax installDateTime instance interval invalidAfterOfflineDuration isDefault
    isGridCritical isLocalGeneration isSuperseded iso15118CertificateHashData iso15118SchemaVersion issuerKeyHash
    issuerNameHash language language1 language2 latestTimestamp limit limitAtSoC limitMaxDischarge limit_L2
    limit_L3 listVersion localAuthorizationList log logType lowFreq lowVoltage maxApparentPower
    maxChargeApparentPower maxChargeApparentPower_L2 maxChargeApparentPower_L3 maxChargeCurrent maxChargePower
    maxChargePower_L2 maxChargePower_L3 maxChargeReactivePower maxChargeReactivePower_L2 maxChargeReactivePower_L3
    maxChargingTime maxCost maxCurrent maxDischargeApparentPower maxDischargeApparentPower_L2
    maxDischargeApparentPower_L3 maxDischargeCurrent maxDischargePower maxDischargePower_L2 maxDischargePower_L3
    maxDischargeReactivePower maxDischargeReactivePower_L2 maxDischargeReactivePower_L3 maxElements maxEnergy
    maxIdleTime maxLimit maxNominalVoltage maxOfflineDuration maxPower maxScheduleTuples maxSoC maxTime maxVoltage
    maximumContractCertificateChains maximumCost measurand message messageExtra messageId messageInfo
    messageTimeout messagesInQueue meterStart meterStop meterType meterValue minChargeCurrent minChargePower
    minChargePower_L2 minChargePower_L3 minChargeReactivePower minChargeReactivePower_L2 minChargeReactivePower_L3
    minChargingRate minChargingTime minCost minCurrent minDischargeCurrent minDischargePower minDischargePower_L2
    minDischargePower_L3 minDischargeReactivePower minDischargeReactivePower_L2 minDischargeReactivePower_L3
    minEnergy minIdleTime minLimit minNominalVoltage minPower minTime minVoltage minimumCost mobilityNeedsMode
    model modem monitor monitoringBase monitoringCriteria multiplier mutability name nextUpdate nominalVoltage
    nominalVoltageOffset numEPriceLevels numberOfPhasesUsed numberOfPriceLevels numberPhases ocppInterface
    ocppTransport ocppVersion ocspRequestData offline oldestTimestamp ongoingIndicator operationMode
    operationalStatus overDroop overFreq overstayFee overstayFeePeriod overstayPowerThreshold overstayRule
    overstayRuleList overstayTimeThreshold params parkingFee parkingFeePeriod pctMaxDischargePower pending
    periodicEventStream persistent personalMessage phase phaseToUse power powerDuringCessation
    powerMonitoringMustTrip powerRangeStart powerTolerance powerToleranceAcceptance preconditioningRequest
    preconditioningStatus preferredNetwork priceAlgorithm priceFixed priceKwh priceLevel priceLevelSchedule
    priceLevelScheduleEntries priceMinute priceRule priceRuleStacks priceScheduleID priceScheduleId prices
    priority productionDate rampRate randomDelay randomizedDelay reactivePowerParams readonly reason reasonCode
    recurrencyKind relativeTimeInterval remainingContracts remoteStartId renewableGenerationPercentage report
    reportBase reportData requestId requestedEnergyTransfer requestedMessage reservationFixed reservationId
    reservationTime reservationUpdateStatus responseTime retries retrieveDate retrieveDateTime retryInterval
    salesTariff salesTariffEntry sampledValue schedule scheduleStart scheduleUpdate securityProfile
    selectedChargingScheduleId seqNo serialNumber server serviceFee setMonitoringData setMonitoringResult
    setVariableData setVariableResult setpoint setpointReactive setpointReactive_L2 setpointReactive_L3
    setpoint_L2 setpoint_L3 settlementAmount settlementTime severity signal signatureId signedMeterValue
    signingMethod soC soH soc softGradient source stack stackLevel start startDateTime startPeriod startSchedule
    startTime startTimeOfDay startValue started state stateOfCharge status statusInfo stopTime stoppedReason
    supersededIds supportsMonitoring t targetSoC tariff tariffAssignments tariffId tariffIds tariffKind tax
    taxIncludedInPrice taxRate taxRates taxRuleID taxRules tbc techCode timeAnchor timeBase timeSpentCharging
    timeout timestamp total totalCost totalUsage transaction transactionData transactionId transactionInfo
    transactionLimit trigger triggerReason type typeOfCost underDroop underFreq unit unitOfMeasure unknownKey
    updateType updatedPersonalMessage updatedPersonalMessageExtra useLocalTime useOnlyPreferredNetwork v
    v2xBaseline v2xChargingParameters v2xFreqWattCurve v2xSignalWattCurve vRef validFrom validFromDate validTo
    validToDate values variable variableAttribute variableCharacteristics variableMonitoring variableMonitoringId
    vatCompany vendorErrorCode vendorId vendorName versionNumber voltageParams volume vpn x y yUnit
""")
"""Texts of a closed list, moments, numbers, technical names."""

TOKENS: Final = _names("""
    additionalIdToken customerIdentifier groupIdToken idTag idToken idTokens parentIdTag prioritizedEMAIDs
""")
"""What identifies a driver: a keyed pseudonym stands for it."""

MASKED: Final = _names("""
    additionalInfo address1 address2 apnPassword apnUserName basicAuthPassword city company content country
    customTrigger data description digestValue evInverterSerialNumber exiRequest exiResponse extraInfo
    failureReason group iccid imsi info meterSerialNumber ocspResult overstayRuleDescription password paymentBrand
    paymentRecognition postalCode priceScheduleDescription priceScheduleSignature pspRef publicKey receiptId
    receiptUrl salesTariffDescription serviceName signature signedMeterData simPin taxRuleName techInfo user
    valuesList vatNumber vendorInfo
""")
"""Secrets, personal data, signed readings, and free text that may hold anything."""

URLS: Final = _names("""
    location ocppCsmsUrl remoteLocation responderURL urls
""")
"""Kept without what stands before the @ and behind the question mark."""

CERTIFICATES: Final = _names("""
    certificate certificateChain csr signingCertificate
""")
"""Kept where they are the charge point's or a CA's (by action), because rules look into them."""

VALUES: Final = _names("""
    actualValue attributeValue value
""")
"""Kept where they are numbers, or belong to a configuration key or variable that is harmless."""

BY_THEIR_NAME: Final = _names("""
    customData key
""")
"""`key` is the name of a setting, and a secret in a VPN; `customData` is anything."""

HARMLESS_KEYS: Final = _names("""
    acphaseswitchingsupported activemonitoringbase activemonitoringlevel additionalrootcertificatecheck
    allowcsmstlswildcards allowedcsmstlswildcards allownewsessionspendingfirmwareupdate allowofflinetxforunknownid
    allowreset allowsecurityprofiledowngrade apnenabled authcacheenabled authcachelifetime authcachestorage
    authenabled authorizationcacheenabled authorizeremotestart authorizeremotetxrequests availabilitystate
    available blinkrepeat bytespermessage centralcontractvalidationallowed certificateentries
    certificatesignedmaxchainsize certificatestoremaxlength certsigningrepeattimes certsigningwaitminimum
    chargeprofilemaxstacklevel chargingprofilepersistence chargingscheduleallowedchargingrateunit
    chargingschedulemaxperiods clockaligneddatainterval configurationvaluesize connected connectiontimeout
    connectorphaserotation connectorphaserotationmaxlength connectorswitch3to1phasesupported
    contractvalidationoffline country cponame datetime defaultmessagetimeout disablepostauthorize
    disableremoteauthorization enabled entries evconnectiontimeout externalconstraintsprofiledisallowed
    externalcontrolsignalsenabled fieldlength filetransferprotocols getconfigurationmaxkeys heartbeatinterval
    identity interval iso15118pncenabled itemspermessage itemspersetmonitoringmessage lifetime lightintensity
    limitchangesignificance localauthlistdisablepostauthorize localauthlistenabled localauthlistmaxlength
    localauthorizeoffline localpreauthorize maxcertificatechainsize maxchargingprofilesinstalled
    maxenergyoninvalidid maxenergyoninvalididtoken messageattemptinterval messageattemptintervaltransactionevent
    messageattempts messageattemptstransactionevent messagetimeout metervaluesaligneddata
    metervaluesaligneddatamaxlength metervaluesampleinterval metervaluessampleddata
    metervaluessampleddatamaxlength minimumstatusduration networkconfigurationpriority
    networkprofileconnectionattempts nonevsespecific notifychargingneedswithoutschedule ntpsource
    numberofconnectors ocppcsmsurl ocppinterface ocpptransport ocppversion offlinemonitoringeventqueuingseverity
    offlinethreshold offlinetxforunknownidenabled operationalstates organizationname periodsperschedule phases3to1
    problem profilestacklevel publickeywithsignedmetervalue queueallmessages randomdelay randomiseddelay
    randomizeddelay rateunit registervalueswithoutphases requestedenergytransfermode reserveconnectorzerosupported
    resetretries resumptiontimeout retrybackoffrandomrange retrybackoffrepeattimes retrybackoffwaitminimum
    sampledatainterval securityprofile sendlocallistmaxlength signreadings signstartedreadings signupdatedreadings
    stoptransactiononevsidedisconnect stoptransactiononinvalidid stoptxnaligneddata stoptxnaligneddatamaxlength
    stoptxnsampleddata stoptxnsampleddatamaxlength stoptxonevsidedisconnect stoptxoninvalidid storage supplyphases
    supportedfeatureprofiles supportedfeatureprofilesmaxlength supportedfiletransferprotocols
    timeadjustmentreportingthreshold timeoffset timesource timezone tracing transactionmessageattempts
    transactionmessageretryinterval txbeforeacceptedenabled txendedaligneddata txendedinterval txendedmeasurands
    txstartedmeasurands txstartpoint txstoppoint txupdatedinterval txupdatedmeasurands
    unlockconnectoronevsidedisconnect unlockonevsidedisconnect updateinterval upstreaminterval vpnenabled
    websocketpinginterval
""")
"""Settings of the standard (1.6 chapter 9 and its security whitepaper; 2.x appendix of variables), lower-case letters and digits
only: what they are set to is no secret. Of a setting that is not listed only true and false are kept.
"""

ALL: Final = KEPT | TOKENS | MASKED | URLS | CERTIFICATES | VALUES | BY_THEIR_NAME
"""Every name of the standard; and those of a signed message are among them."""
