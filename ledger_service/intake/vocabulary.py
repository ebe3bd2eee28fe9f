"""The words of EPCIS 2.0 and of the Core Business Vocabulary 2.0 as far as events are read by them.

Source: the JSON-LD context https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld and the JSON schema of the
same release. A word that is not listed is flagged, never refused: CBV grows.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIONS = ("ADD", "OBSERVE", "DELETE")

PREFIXES: dict[str, str] = {
    "epcis": "https://ref.gs1.org/epcis/",
    "cbv": "https://ref.gs1.org/cbv/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "gs1": "https://gs1.org/voc/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
"""Prefixes that the EPCIS context defines by itself."""

BIZ_STEPS = _words(
    """
    accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
    decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting
    installing killing loading other packing picking receiving removing repackaging repairing replacing reserving
    retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting
    unloading unpacking void_shipping
    """
)
DISPOSITIONS = _words(
    """
    active available completeness_verified completeness_inferred conformant container_closed container_open damaged
    destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_instance mismatch_class
    mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed
    recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown
    """
)
TRANSACTION_TYPES = _words("bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt")
PARTY_TYPES = frozenset(("owning_party", "possessing_party", "location"))
ERROR_REASONS = frozenset(("did_not_occur", "incorrect_data"))
COMPONENTS = _words(
    """
    x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting northing latitude
    longitude altitude
    """
)
SENSOR_ALERTS = frozenset(("ALARM_CONDITION", "ERROR_CONDITION"))
MEASUREMENTS = _words(
    """
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance
    Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity
    ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency
    Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux
    LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate
    MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux
    RadiantIntensity Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed
    SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction
    VolumetricFlux Wavenumber
    """
)

WORDS: dict[str, tuple[frozenset[str], str]] = {
    "bizStep": (BIZ_STEPS, "https://ref.gs1.org/cbv/BizStep-"),
    "disposition": (DISPOSITIONS, "https://ref.gs1.org/cbv/Disp-"),
    "bizTransaction": (TRANSACTION_TYPES, "https://ref.gs1.org/cbv/BTT-"),
    "party": (PARTY_TYPES, "https://ref.gs1.org/cbv/SDT-"),
    "reason": (ERROR_REASONS, "https://ref.gs1.org/cbv/ER-"),
    "component": (COMPONENTS, "https://ref.gs1.org/cbv/Comp-"),
    "measurement": (MEASUREMENTS, "https://gs1.org/voc/"),
    "exception": (SENSOR_ALERTS, "https://gs1.org/voc/"),
}
"""Per field: its words, and what stands before a word to make the web address CBV gives it."""

COMMON_FIELDS = _words(
    """
    type eventID eventTime eventTimeZoneOffset recordTime errorDeclaration certificationInfo bizStep disposition
    persistentDisposition readPoint bizLocation bizTransactionList sourceList destinationList sensorElementList
    """
)
FIELDS: dict[str, frozenset[str]] = {
    "ObjectEvent": COMMON_FIELDS | {"action", "epcList", "quantityList", "ilmd"},
    "AggregationEvent": COMMON_FIELDS | {"action", "parentID", "childEPCs", "childQuantityList"},
    "TransactionEvent": COMMON_FIELDS | {"action", "parentID", "epcList", "quantityList"},
    "TransformationEvent": COMMON_FIELDS
    | {"inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList", "transformationID", "ilmd"},
    "AssociationEvent": COMMON_FIELDS | {"action", "parentID", "childEPCs", "childQuantityList"},
}
"""The five event types and the fields that the schema allows in each."""

ALL_FIELDS = frozenset().union(*FIELDS.values())
EPC_LISTS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
QUANTITY_LISTS = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")

_SEPARATOR = re.compile(
    r"[{}]|(?:eventType|Offset|[tT]ime|Info|epc|epcClass|parentID|quantity|uom|action|transformationID|bizStep|disposition|"
    r"set|id|bizTransaction|source|destination|type|exception|deviceID|[mM]etadata|rawData|dataProcessingMethod|bizRules|"
    r"microorganism|chemicalSubstance|[vV]alue|component|sDev|percRank|coordinateReferenceSystem)="
)


def hides_field(text: str) -> bool:
    """Whether `text` holds what parts fields in the CBV event hash: braces, or `=` behind a name or the end of one."""
    return ("=" in text or "{" in text or "}" in text) and _SEPARATOR.search(text) is not None
